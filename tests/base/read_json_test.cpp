// The helper by which reference tests prove that they read all of a case.
#include "support/read_json.h"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

namespace ibot::testing {
namespace {

ReadJson document() {
  return ReadJson(nlohmann::json::parse(R"({
    "what": "for readers", "loss_float64": 1.5, "none": null, "empty": [],
    "config": {"lr": 0.1, "betas": [0.9, 0.99], "name": "a"},
    "steps": [{"lr": 1}, {"lr": 2}],
    "parameters": {"a.b": {"group": 3}}})"));
}

/// Reads all but the rate of the second step and the group.
void read_most(const ReadJson& json) {
  EXPECT_TRUE(json["none"].is_null());
  EXPECT_TRUE(json["empty"].elements().empty());
  const double lr = json["config"]["lr"];
  EXPECT_EQ(lr, 0.1);
  EXPECT_EQ(json["config"]["betas"].get<std::vector<double>>()[1], 0.99);
  EXPECT_EQ(json["config"].value("name", std::string()), "a");
  EXPECT_EQ(json["config"].value("absent", int64_t{7}), 7);
  EXPECT_EQ(json["steps"][0]["lr"].get<int>(), 1);
}

TEST(ReadJson, ComplainsOfAFieldThatIsReadOnlyElsewhereInItsList) {
  const auto json = document();
  read_most(json);
  EXPECT_NONFATAL_FAILURE(json.expect_all_read({"parameters/*/group"}), "steps/lr: 1 of");
}

TEST(ReadJson, ComplainsByThePathOfTheField) {
  const auto json = document();
  read_most(json);
  EXPECT_NONFATAL_FAILURE(json.expect_all_read({"steps"}), "parameters/a.b/group: 1 of");
}

TEST(ReadJson, IsContentWhenAllIsReadOrNamed) {
  const auto json = document();
  read_most(json);
  EXPECT_EQ(json["steps"].elements().back()["lr"].get<int>(), 2);
  json.expect_all_read({"parameters/*/group"});
}

TEST(ReadJson, AskingForAFieldIsNotReadingIt) {
  const ReadJson json(nlohmann::json{{"lr", 1}});
  EXPECT_TRUE(json.contains("lr"));
  EXPECT_EQ(json["lr"].raw(), 1);
  EXPECT_NONFATAL_FAILURE(json.expect_all_read(), "lr: 1 of");
}

}  // namespace
}  // namespace ibot::testing
