// Ranks that --nproc starts, and how they end: the tests are their own ranks, for run_local_ranks
// starts this program again.
#include "common/local_ranks.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "common/signals.h"

namespace ibot::apps {
namespace {

/// The number of this process where it is a rank.
std::optional<int> own_rank() {
  const char* rank = std::getenv("RANK");
  return rank == nullptr ? std::nullopt : std::optional(std::atoi(rank));
}

/// Two ranks that run this test.
[[noreturn]] void run_two(std::optional<std::chrono::milliseconds> end_grace = std::nullopt) {
  const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
  const auto name = std::string(test->test_suite_name()) + "." + test->name();
  std::_Exit(run_local_ranks(2, {"tests", "--gtest_brief=1", "--gtest_filter=" + name}, end_grace));
}

// As while they load libraries: whoever does not catch a signal yet is killed by it.
TEST(LocalRanksDeathTest, RanksThatASignalKillsHaveStopped) {
  if (const auto rank = own_rank()) {
    if (rank == 0) ::kill(::getppid(), std::atoi(std::getenv("IBOT_TEST_SIGNAL")));
    ::pause();
  }
  for (const auto& [signal_number, status] : {std::pair{SIGUSR1, kTimeIsUp},
                                              {SIGTERM, 128 + SIGTERM},
                                              {SIGINT, 128 + SIGINT},
                                              {SIGHUP, 128 + SIGHUP}}) {
    ::setenv("IBOT_TEST_SIGNAL", std::to_string(signal_number).c_str(), 1);
    std::signal(signal_number, SIG_DFL);  // which a shell or nohup may have had ignored
    EXPECT_EXIT(run_two(), ::testing::ExitedWithCode(status), "^$");
  }
}

TEST(LocalRanksDeathTest, ARankKilledOtherwiseHasFailed) {
  if (const auto rank = own_rank()) {
    if (rank == 1) ::raise(SIGKILL);
    std::_Exit(0);
  }
  EXPECT_EXIT(run_two(), ::testing::ExitedWithCode(1), "rank 1 failed first: it was killed by");
}

TEST(LocalRanksDeathTest, OneThatHangsInItsEndIsNamedAndEnded) {
  if (const auto rank = own_rank()) {
    if (rank == 1) ::pause();
    std::_Exit(std::atoi(std::getenv("IBOT_TEST_STATUS")));
  }
  // What the others saved when told to leave is as good as it was.
  for (const auto& [others, status] : {std::pair{0, 1}, {kTimeIsUp, kTimeIsUp}}) {
    ::setenv("IBOT_TEST_STATUS", std::to_string(others).c_str(), 1);
    EXPECT_EXIT(run_two(std::chrono::milliseconds(100)), ::testing::ExitedWithCode(status),
                "rank 1: error: did not exit with the others");
  }
}

}  // namespace
}  // namespace ibot::apps
