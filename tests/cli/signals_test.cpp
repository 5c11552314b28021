#include "common/signals.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

namespace ibot::apps {
namespace {

// In a child process: a signal's disposition belongs to the whole process.
TEST(SignalsDeathTest, TheFirstOnlyRaisesTheFlag) {
  const auto body = [] {
    catch_stop_signals();
    if (stop_requested()) std::_Exit(1);
    std::raise(SIGTERM);
    std::raise(SIGTERM);
    std::_Exit(stop_requested() && stop_status() == 128 + SIGTERM ? 0 : 2);
  };
  EXPECT_EXIT(body(), ::testing::ExitedWithCode(0), "");
}

TEST(SignalsDeathTest, EndsAtOnceWhereNothingIsToBeSaved) {
  for (const auto& [signal_number, status] :
       {std::pair{SIGUSR1, kTimeIsUp}, {SIGTERM, 128 + SIGTERM}, {SIGINT, 128 + SIGINT}}) {
    const auto body = [number = signal_number] {
      leave_on_stop_signals();
      std::raise(number);
    };
    EXPECT_EXIT(body(), ::testing::ExitedWithCode(status), "");
  }
}

TEST(SignalsDeathTest, TheFirstIsAnsweredAtOnce) {
  const auto body = [] {
    catch_stop_signals(/*acknowledged=*/true);
    std::raise(SIGINT);
    std::_Exit(0);
  };
  EXPECT_EXIT(body(), ::testing::ExitedWithCode(0), "finishing the step and saving");
}

// A dead tee.
TEST(SignalsDeathTest, AReaderThatHasGoneDoesNotEndTheRun) {
  const auto body = [] {
    catch_stop_signals();
    int ends[2];
    if (::pipe(ends) != 0) std::_Exit(1);
    ::close(ends[0]);
    std::_Exit(::write(ends[1], "x", 1) == -1 ? 0 : 2);
  };
  EXPECT_EXIT(body(), ::testing::ExitedWithCode(0), "");
}

TEST(SignalsDeathTest, ASecondInterruptKills) {
  const auto body = [] {
    catch_stop_signals();
    std::raise(SIGINT);
    ::usleep(600'000);
    std::raise(SIGINT);
  };
  EXPECT_EXIT(body(), ::testing::KilledBySignal(SIGINT), "");
}

// As `timeout -s INT` sends it: to the process, then to its group.
TEST(SignalsDeathTest, OneInterruptSentTwiceIsOne) {
  const auto body = [] {
    catch_stop_signals();
    std::raise(SIGINT);
    std::raise(SIGINT);
    std::_Exit(stop_status() == 128 + SIGINT ? 0 : 2);
  };
  EXPECT_EXIT(body(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace ibot::apps
