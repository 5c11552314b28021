#include "common/signals.h"

#include <atomic>
#include <csignal>

namespace ibot::apps {
namespace {

std::atomic<int> received{0};
static_assert(std::atomic<int>::is_always_lock_free, "a handler may touch lock-free atomics only");

extern "C" void remember_stop(int signal_number) {
  int none = 0;
  received.compare_exchange_strong(none, signal_number);
  std::signal(SIGINT, SIG_DFL);
}

}  // namespace

void catch_stop_signals() {
  struct sigaction action {};
  action.sa_handler = remember_stop;
  sigemptyset(&action.sa_mask);
  // Reads and writes under way go on: the signal is no reason for them to fail.
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGUSR1, &action, nullptr);
}

bool stop_requested() { return received.load() != 0; }

int stop_status() {
  const int signal_number = received.load();
  return signal_number == SIGUSR1 ? kTimeIsUp : 128 + signal_number;
}

}  // namespace ibot::apps
