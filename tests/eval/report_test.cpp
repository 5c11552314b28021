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
  report.counts = {{"train_images", 40}};
  report.date = "2026-01-31T12:00:00Z";
  report.version = "0.1.0";
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
  EXPECT_EQ(json["counts"]["train_images"], 40);
  EXPECT_EQ(json["date"], "2026-01-31T12:00:00Z");
  EXPECT_EQ(json["version"], "0.1.0");
}

// 24.4 for people, every digit for programs.
TEST(Report, RoundsNextToTheWholeNumbers) {
  Report report;
  report.metrics = {{"top1", 100.0 * 61 / 250}, {"loss", 0.1 + 0.2}, {"lr", 0.00004}};
  const auto text = to_json(report);
  EXPECT_NE(text.find("\"top1\": 24.4\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\"loss\": 0.3,"), std::string::npos) << text;
  EXPECT_NE(text.find("\"lr\": 4e-05,"), std::string::npos) << text;
  EXPECT_EQ(nlohmann::json::parse(text)["metrics"]["loss"], 0.1 + 0.2);
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
