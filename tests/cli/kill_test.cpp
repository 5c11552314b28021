// The short form of scripts/kill_test.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/python.h"
#include "support/run_program.h"

namespace ibot::testing {
namespace {

void expect_nothing_lost(const std::string& options, const std::string& told) {
  if (!python_has("argparse")) GTEST_SKIP() << "there is no python3";
  const auto folder = test_folder();
  const auto command = "timeout 250 python3 " +
                       shell_quoted(std::string(IBOT_SOURCE_DIR) + "/scripts/kill_test.py") + ' ' +
                       options + " --bin " + shell_quoted(IBOT_PROGRAM_DIR) + " --work " +
                       shell_quoted((folder / "work").string()) + " >" +
                       shell_quoted((folder / "out.txt").string()) + " 2>&1";
  const int status = std::system(command.c_str());
  const auto said = read_text(folder / "out.txt");
  EXPECT_EQ(status, 0) << said;
  EXPECT_THAT(said, ::testing::HasSubstr(told));
}

TEST(KillTest, KilledAgainAndAgainNothingIsLost) {
  expect_nothing_lost("--kills 6 --nproc 1 --epochs 8", "6 kills (2 launcher, 2 rank, 2 writing");
}

TEST(KillTest, FineTuningOnTwoRanksLosesNothing) {
  expect_nothing_lost("--task finetune --kills 3 --nproc 2 --epochs 6",
                      "3 kills (1 launcher, 1 rank, 1 writing");
}

TEST(KillTest, SegmentationOnTwoRanksLosesNothing) {
  expect_nothing_lost("--task segment --kills 3 --nproc 2 --epochs 5",
                      "3 kills (1 launcher, 1 rank, 1 writing");
}

}  // namespace
}  // namespace ibot::testing
