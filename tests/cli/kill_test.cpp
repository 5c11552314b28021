// The short form of scripts/kill_test.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/python.h"
#include "support/run_program.h"

namespace ibot::testing {
namespace {

TEST(KillTest, KilledAgainAndAgainNothingIsLost) {
  if (!python_has("argparse")) GTEST_SKIP() << "there is no python3";
  const auto folder = test_folder();
  const auto command = "timeout 250 python3 " +
                       shell_quoted(std::string(IBOT_SOURCE_DIR) + "/scripts/kill_test.py") +
                       " --kills 6 --nproc 1 --epochs 8 --bin " + shell_quoted(IBOT_PROGRAM_DIR) +
                       " --work " + shell_quoted((folder / "work").string()) + " >" +
                       shell_quoted((folder / "out.txt").string()) + " 2>&1";
  const int status = std::system(command.c_str());
  const auto said = read_text(folder / "out.txt");
  EXPECT_EQ(status, 0) << said;
  EXPECT_THAT(said, ::testing::HasSubstr("6 kills (2 launcher, 2 rank, 2 writing"));
}

}  // namespace
}  // namespace ibot::testing
