#include "ibot/eval/report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "ibot/eval/features.h"
#include "ibot/eval/knn.h"

namespace ibot::eval {
namespace {

TEST(Report, HoldsTheKeysThatScriptsRead) {
  Report report{"knn", {{"top1_k10", 61.25}}, option_values(KnnOptions{}), "w.safetensors", "data"};
  report.options.merge(option_values(FeatureOptions{Pooling::kClass, 1}));
  report.identity = {{"method", "knn 1"}};
  const auto json = nlohmann::json::parse(to_json(report));
  EXPECT_EQ(json["task"], "knn");
  EXPECT_EQ(json["metrics"]["top1_k10"], 61.25);
  EXPECT_EQ(json["options"]["k"], (std::vector<int>{10, 20, 100, 200}));
  EXPECT_EQ(json["options"]["temperature"], 0.07);
  EXPECT_EQ(json["options"]["pooling"], "class");
  EXPECT_EQ(json["options"]["blocks"], 1);
  EXPECT_EQ(json["weights"], "w.safetensors");
  EXPECT_EQ(json["data"], "data");
  EXPECT_EQ(json["identity"]["method"], "knn 1");
  EXPECT_EQ(json.size(), 6u);
}

TEST(Report, IsJsonWhateverItHolds) {
  const auto json =
      nlohmann::json::parse(to_json({"", {{"loss", std::nan("")}}, {}, "\"\n\xff", ""}));
  EXPECT_TRUE(json["metrics"]["loss"].is_null());
  EXPECT_TRUE(json["options"].is_object());
  EXPECT_EQ(to_json({}).back(), '\n');
}

struct AllKinds {
  bool flag = true;
  std::array<double, 2> range{0.5, 1};
  std::vector<double> ratios{0, 0.3};

  template <class Visitor>
  void fields(Visitor&& field) {
    field("flag", flag, "");
    field("range", range, "");
    field("ratios", ratios, "");
  }
};

TEST(Report, TakesFieldsOfEveryKind) {
  Report report;
  report.options = option_values(AllKinds{});
  const auto json = nlohmann::json::parse(to_json(report));
  EXPECT_EQ(json["options"],
            nlohmann::json::parse(R"({"flag":true,"range":[0.5,1.0],"ratios":[0.0,0.3]})"));
}

}  // namespace
}  // namespace ibot::eval
