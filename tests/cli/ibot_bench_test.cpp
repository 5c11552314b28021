// ibot-bench from the command line.
#include <set>

#include "cli/pretrain_folder.h"

namespace ibot::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

class IbotBench : public PretrainFolder {
 protected:
  /// One JSON object a line, each with the keys that scripts rely on.
  std::vector<Json> bench(const Words& words) const {
    Words all = words;
    const auto config = config_words();
    all.insert(all.end(), config.begin(), config.end());
    all.insert(all.end(), {"--steps", "2", "--threads", "1"});
    const auto result = run("ibot-bench", all);
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(result.err, "");
    const auto lines = objects("stdout.txt");
    for (const auto& line : lines) {
      for (const char* key : {"median_s", "p10_s", "p90_s", "peak_memory_bytes"}) {
        EXPECT_GT(line.value(key, 0.0), 0.0) << key;
      }
      EXPECT_LE(line["p10_s"], line["median_s"]);
      EXPECT_LE(line["median_s"], line["p90_s"]);
      EXPECT_EQ(line["threads"], 1);
      EXPECT_EQ(line["device"], "cpu");
    }
    return lines;
  }
};

TEST_F(IbotBench, TimesTheStep) {
  const auto lines = bench({"step", "--device", "cpu"});
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["case"], "step");
  EXPECT_EQ(lines[1]["case"], "products");
  for (const auto& line : lines) {
    EXPECT_NEAR(line["flops_per_s"].get<double>() * line["median_s"].get<double>() /
                    line["flops"].get<double>(),
                1.0, 1e-6);
  }
  EXPECT_NEAR(lines[0]["images_per_s"].get<double>() * lines[0]["median_s"].get<double>(), 4, 1e-6);
}

TEST_F(IbotBench, TimesThePartsOfTheStep) {
  std::set<std::string> cases;
  for (const auto& line : bench({"ops", "--device", "cpu"})) cases.insert(line["case"]);
  EXPECT_EQ(cases.count("teacher_forward"), 1u);
  EXPECT_GT(cases.size(), 3u);
}

// One product of a layer in the forward pass and two in the backward pass: 3 * 2 * T * I * O.
TEST_F(IbotBench, ProductsAreThoseOfABlock) {
  const auto result =
      run("ibot-bench",
          {"step", "--device", "cpu", "--steps", "1", "backbone.embed_dim=8", "backbone.depth=[1]",
           "backbone.heads=[1]", "train.batch_size=2", "augment.local_crops=3",
           "augment.local_size=32", "head.prototypes=16", "head.patch_prototypes=16"});
  ASSERT_EQ(result.status, 0) << result.err;
  const double tokens = 2 * (2 * 14 * 14 + 3 * 2 * 2);
  EXPECT_EQ(objects("stdout.txt")[1]["flops"], 6 * tokens * 12 * 8 * 8);
}

TEST_F(IbotBench, TimesNetworks) {
  const double once = bench({"features", "--device", "cpu"}).at(0)["flops"];
  const auto tuned = bench({"fine-tune", "--device", "cpu"}).at(0);
  EXPECT_EQ(tuned["case"], "fine_tune");
  EXPECT_EQ(tuned["flops"], 3 * once);
}

// The parts make up the whole.
TEST_F(IbotBench, ProfilesTheStep) {
  double whole = 0.0, parts = 0.0;
  std::set<std::string> kinds;
  for (const auto& line : bench({"profile", "--device", "cpu"})) {
    const auto name = line["case"].get<std::string>();
    const auto seconds = line["median_s"].get<double>();
    if (name.starts_with("profile.of ")) continue;
    (name == "profile.step" ? whole : parts) += seconds;
    kinds.insert(name);
  }
  EXPECT_NEAR(parts, whole, 0.02 * whole);
  for (const char* kind : {"matmul", "attention", "norm", "elementwise", "optimizer", "copies"}) {
    EXPECT_EQ(kinds.count(std::string("profile.") + kind), 1u) << kind;
  }
}

TEST_F(IbotBench, WritesAFileOfItsFigures) {
  const auto lines = bench({"step", "--device", "cpu", "--json", "figures.json"});
  const auto record = Json::parse(text("figures.json"));
  EXPECT_EQ(record["cases"], Json(lines));
  EXPECT_THAT(record["command"].get<std::string>(), StartsWith("ibot-bench step --device cpu"));
  for (const char* key : {"version", "commit", "torch", "machine"}) {
    EXPECT_TRUE(record.contains(key)) << key;
  }
  expect_failure(run("ibot-bench", {"step", "--json", "nowhere/figures.json"}), 2, "nowhere");
}

TEST_F(IbotBench, TimesTheStagesOfData) {
  std::vector<std::string> cases;
  for (const auto& line : bench({"data", "set/train", "--stages"})) cases.push_back(line["case"]);
  EXPECT_THAT(cases, ElementsAre("data.read", "data.decode", "data.crop", "data.jitter", "data.hue",
                                 "data.gray", "data.blur", "data.copy"));
}

TEST_F(IbotBench, TimesTheData) {
  const auto lines = bench({"data", "set/train"});
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["case"], "data");
  EXPECT_GT(lines[0]["images_per_s"], 0.0);
  expect_failure(run("ibot-bench", {"data", "nowhere"}), 2, "nowhere");
}

TEST_F(IbotBench, TimesKnn) {
  const auto result = run("ibot-bench", {"knn", "--rows", "500", "--width", "8", "--queries", "20",
                                         "--k", "5,10", "--steps", "2", "--device", "cpu"});
  ASSERT_EQ(result.status, 0) << result.err;
  const auto lines = objects("stdout.txt");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["case"], "knn");
  EXPECT_EQ(lines[0]["flops"], 2.0 * 500 * 8 * 20);
}

TEST_F(IbotBench, TimesARanking) {
  const auto result =
      run("ibot-bench", {"ranking", "--queries", "3", "--database", "40", "--distractors", "600",
                         "--width", "8", "--steps", "1", "--device", "cpu"});
  ASSERT_EQ(result.status, 0) << result.err;
  const auto lines = objects("stdout.txt");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["case"], "ranking");
  EXPECT_NEAR(lines[0]["images_per_s"].get<double>() * lines[0]["median_s"].get<double>(), 600,
              1e-6);
}

TEST_F(IbotBench, TimesAListing) {
  const Words words{"listing", "drawn", "--images", "5000", "--folders", "7", "--steps", "2"};
  const auto drawn = run("ibot-bench", words);
  ASSERT_EQ(drawn.status, 0) << drawn.err;
  EXPECT_EQ(drawn.out, "");
  ASSERT_EQ(run("ibot-bench", words).status, 0);
  const auto lines = objects("stdout.txt");
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[0]["case"], "listing.open");
  expect_failure(run("ibot-bench", {"listing", "set/train/tint_00/0000.jpg"}), 2,
                 "expected a listing");
}

}  // namespace
}  // namespace ibot::testing
