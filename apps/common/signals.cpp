#include "common/signals.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <ctime>

#include "common/console.h"

namespace ibot::apps {
namespace {

std::atomic<int> received{0};
std::atomic<int> status_given{0};
std::atomic<int64_t> received_ms{0};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<int64_t>::is_always_lock_free,
              "a handler may touch lock-free atomics only");

/// Signals this close together are one request: `timeout` and launchers send theirs to a process
/// and then to its group.
constexpr int64_t kOneRequestMs = 500;

int64_t now_ms() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{1000} * time.tv_sec + time.tv_nsec / 1'000'000;
}

constexpr const char* kAnswer =
    "finishing the step and saving; Ctrl-C once more ends without saving\n";
constexpr const char* kLiveAnswer =
    "\r\x1b[Kfinishing the step and saving; Ctrl-C once more ends without saving\n";
std::atomic<const char*> answer{nullptr};

extern "C" void remember_stop(int signal_number) {
  int none = 0;
  if (received.compare_exchange_strong(none, signal_number)) {
    received_ms.store(now_ms());
    if (const char* text = answer.load()) {
      [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, std::strlen(text));
    }
  } else if (signal_number == SIGINT && now_ms() - received_ms.load() >= kOneRequestMs) {
    // Takes effect when this handler returns, which ends the process.
    std::signal(SIGINT, SIG_DFL);
    std::raise(SIGINT);
  }
}

std::atomic<const char*> last_words_given{nullptr};

extern "C" void leave(int signal_number) {
  if (const char* words = last_words_given.load()) {
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, words, std::strlen(words));
  }
  ::_exit(stop_status_of(signal_number));
}

void handle_stop_signals(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  // Restarts interrupted system calls: they must not fail because of the signal.
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGUSR1, &action, nullptr);
}

}  // namespace

void leave_on_stop_signals(const char* last_words) {
  last_words_given = last_words;
  handle_stop_signals(leave);
}

void catch_stop_signals(bool acknowledged) {
  if (acknowledged) answer.store(console().is_live() ? kLiveAnswer : kAnswer);
  std::signal(SIGPIPE, SIG_IGN);
  handle_stop_signals(remember_stop);
}

bool stop_requested() { return received.load() != 0 || status_given.load() != 0; }

void stop_with(int status) { status_given.store(status); }

int stop_status_of(int signal_number) {
  return signal_number == SIGUSR1 ? kTimeIsUp : 128 + signal_number;
}

int stop_status() {
  const int given = status_given.load();
  return given != 0 ? given : stop_status_of(received.load());
}

}  // namespace ibot::apps
