#include "ibot/config/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "ibot/base/error.h"
#include "ibot/config/run_config.h"

namespace ibot::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Words = std::vector<std::string>;

std::vector<SweepRun> expanded(const std::string& yaml, const Words& overrides = {}) {
  RunConfig scratch;
  return expand_sweep(sections_of(scratch), {{"run.yaml", yaml}}, overrides);
}

Words names(const std::vector<SweepRun>& runs) {
  Words names;
  for (const auto& run : runs) names.push_back(run.name);
  return names;
}

std::string sweep_refusal(const std::string& yaml, const Words& overrides = {}) {
  try {
    expanded(yaml, overrides);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return {};
}

TEST(Sweep, WithoutASetIsOneRun) {
  const Words words{"optim.lr=1e-3", "data.path=a{b,c}", "mask.ratio=[0, 0.3]"};
  const auto runs = expanded("", words);
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].name, "");
  EXPECT_EQ(runs[0].overrides, words);
  EXPECT_EQ(expanded("optim: {lr: 1e-3}").size(), 1u);
}

TEST(Sweep, CombinesSetsTheLastFastest) {
  const auto runs =
      expanded("", {"optim.lr={1e-3, 2e-3}", "train.seed=7", "mask.shape={block,rand}"});
  EXPECT_THAT(names(runs), ElementsAre("lr=0.001-shape=block", "lr=0.001-shape=rand",
                                       "lr=0.002-shape=block", "lr=0.002-shape=rand"));
  EXPECT_THAT(runs[1].overrides, ElementsAre("optim.lr=0.001", "mask.shape=rand", "train.seed=7"));
}

// A value more in front leaves the other names, and so their folders, as they are.
TEST(Sweep, NamesAreOfValuesAlone) {
  const auto before = names(expanded("", {"optim.lr={1e-3, 2e-3}"}));
  const auto after = names(expanded("", {"optim.lr={5e-4, 0.001, 2E-3}"}));
  EXPECT_THAT(before, ElementsAre("lr=0.001", "lr=0.002"));
  EXPECT_THAT(after, ElementsAre("lr=0.0005", before[0], before[1]));
  EXPECT_THAT(names(expanded("", {"optim.lr={1e-3}"})), ElementsAre(before[0]));
}

TEST(Sweep, ReadsListsPairsAndCommandLineAlike) {
  const std::string yaml =
      "sweep:\n"
      "  mask.ratio, mask.ratio_var: [[[0, 0.3], [0, 0.2]], [0.3, 0.0]]\n"
      "  optim.lr: [5e-4, 1e-3]\n";
  const auto of_file = expanded(yaml);
  const auto of_words = expanded(
      "", {"mask.ratio,mask.ratio_var={[[0, 0.3], [0, 0.2]], [0.3, 0.0]}", "optim.lr={5e-4,1e-3}"});
  ASSERT_EQ(of_file.size(), 4u);
  EXPECT_THAT(of_file[1].overrides,
              ElementsAre("mask.ratio=[0.0, 0.3]", "mask.ratio_var=[0.0, 0.2]", "optim.lr=0.001"));
  EXPECT_EQ(of_file[0].name, "ratio=0.0,0.3-ratio_var=0.0,0.2-lr=0.0005");
  EXPECT_EQ(names(of_file), names(of_words));
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(of_file[i].overrides, of_words[i].overrides);
}

TEST(Sweep, TheCommandLineTakesThePlaceOfAKey) {
  const std::string yaml = "sweep: {optim.lr: [1, 2], train.seed: [3, 4]}";
  EXPECT_THAT(names(expanded(yaml, {"optim.lr=5"})), ElementsAre("seed=3", "seed=4"));
  EXPECT_THAT(names(expanded(yaml, {"optim.lr={5, 6}", "train.seed=1"})),
              ElementsAre("lr=5.0", "lr=6.0"));
  EXPECT_THAT(sweep_refusal("sweep: {'optim.lr, train.seed': [[1, 2]]}", {"optim.lr=5"}),
              HasSubstr("optim.lr: expected a key that varies alone"));
}

TEST(Sweep, DrawsAreWithinTheirRangesAndStay) {
  const std::string range =
      "sweep: {optim.lr: {log: [1e-4, 1e-2]}, train.batch_size: {uniform: [8, 64]}, ";
  const auto eight = expanded(range + "draws: 8}");
  const auto twelve = expanded(range + "draws: 12}");
  ASSERT_GE(twelve.size(), 11u);
  int64_t below = 0;
  for (size_t i = 0; i < eight.size(); ++i) EXPECT_EQ(eight[i].overrides, twelve[i].overrides);
  for (const auto& run : expanded(range + "draws: 300}")) {
    RunConfig config = layered_config<RunConfig>({}, run.overrides);
    EXPECT_GE(config.optim.lr, 1e-4);
    EXPECT_LE(config.optim.lr, 1e-2);
    EXPECT_GE(config.train.batch_size, 8);
    EXPECT_LE(config.train.batch_size, 64);
    below += config.optim.lr < 1e-3 ? 1 : 0;
  }
  // Even in the logarithm: half below the geometric mean, within four deviations of 300 draws.
  EXPECT_NEAR(static_cast<double>(below), 150, 35);
  EXPECT_NE(names(expanded(range + "draws: 8, seed: 1}")), names(eight));
  EXPECT_EQ(names(expanded("", {"optim.lr={log: [1e-4, 1e-2]}",
                                "train.batch_size={uniform: [8, 64]}", "sweep.draws=8"})),
            names(eight));
  EXPECT_THAT(sweep_refusal("", {"optim.lr={log: [1e-4, 1e-2]}"}), HasSubstr("sweep.draws"));
  EXPECT_THAT(sweep_refusal("sweep: {optim.lr: {log: [0, 1]}, draws: 2}"),
              HasSubstr("optim.lr: expected two numbers above 0, the smaller first"));
}

// Values that look alike in a folder's name, and values that do not fit into one.
TEST(Sweep, NamesDifferAndStayShort) {
  const std::string deep(300, 'd');
  const auto runs =
      expanded("", {"data.path={/a/b, /a_b, \"/a b\", /" + deep + "/1, /" + deep + "/2}"});
  std::set<std::string> different;
  for (const auto& run : runs) {
    EXPECT_LE(run.name.size(), 200u);
    EXPECT_EQ(run.name.find('/'), std::string::npos);
    different.insert(run.name);
  }
  EXPECT_EQ(different.size(), 5u);
  EXPECT_THAT(names(expanded("", {"loss.weight_cls={1, 2}", "linear.lr={0.1}", "optim.lr={1}"})),
              ElementsAre("weight_cls=1.0-linear.lr=0.1-optim.lr=1.0",
                          "weight_cls=2.0-linear.lr=0.1-optim.lr=1.0"));
}

TEST(Sweep, RefusesWhatIsNone) {
  for (const char* set : {"optim.lr={}", "optim.lr={1,}", "optim.lr={,1}"}) {
    EXPECT_THAT(sweep_refusal("", {set}), HasSubstr("optim.lr")) << set;
  }
  EXPECT_THAT(sweep_refusal("", {"optim.lr={1e-3, 0.001}"}),
              HasSubstr("optim.lr: expected different values in a sweep, got 0.001 twice"));
  EXPECT_THAT(sweep_refusal("", {"train.seed={" +
                                 [] {
                                   std::string values = "0";
                                   for (int i = 1; i < 1001; ++i) values += "," + std::to_string(i);
                                   return values;
                                 }() +
                                 "}"}),
              HasSubstr("at most 1000 runs"));
  EXPECT_THAT(sweep_refusal("", {"optim.lrr={1, 2}"}), HasSubstr("did you mean optim.lr?"));
  EXPECT_THAT(sweep_refusal("sweep: {optim.lr: [1, 2], draws: 3}"),
              HasSubstr("sweep.draws: expected a key"));
  EXPECT_THAT(sweep_refusal("sweep: {optim: {lr: [1, 2]}}"), HasSubstr("write optim.lr: [...]"));
  EXPECT_THAT(sweep_refusal("sweep: {optim.lr: 3}"),
              HasSubstr("optim.lr: expected a list of values, or {uniform: [a, b]} or"));
  EXPECT_THAT(sweep_refusal("sweep:\n  optim.lr: [1, fast]"), HasSubstr("got fast (run.yaml:2)"));
  EXPECT_THAT(sweep_refusal("sweep: {'optim.lr, train.seed': [[1, 2], [3]]}"),
              HasSubstr("expected lists of 2 values, one for each key, got a list of 1"));
  EXPECT_THAT(sweep_refusal("sweep: {'optim.lr, optim.lr': [[1, 2]]}"), HasSubstr("swept twice"));
  EXPECT_THAT(sweep_refusal("sweep: [1]"), HasSubstr("sweep: expected keys with their values"));
}

}  // namespace
}  // namespace ibot::config
