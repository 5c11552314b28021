// ibot-bench from the command line.
#include <set>

#include "cli/pretrain_folder.h"

namespace ibot::testing {
namespace {

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
    const auto lines = objects("stdout.txt");
    for (const auto& line : lines) {
      for (const char* key : {"images_per_s", "median_s", "p10_s", "p90_s", "peak_memory_bytes"}) {
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
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["case"], "step");
  EXPECT_NEAR(lines[0]["images_per_s"].get<double>() * lines[0]["median_s"].get<double>(), 4, 1e-6);
}

TEST_F(IbotBench, TimesThePartsOfTheStep) {
  std::set<std::string> cases;
  for (const auto& line : bench({"ops", "--device", "cpu"})) cases.insert(line["case"]);
  EXPECT_EQ(cases.count("teacher_forward"), 1u);
  EXPECT_GT(cases.size(), 3u);
}

TEST_F(IbotBench, TimesTheData) {
  const auto lines = bench({"data", "set/train"});
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["case"], "data");
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
