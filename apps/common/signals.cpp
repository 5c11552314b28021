#include "common/signals.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>

#include "common/console.h"

namespace ibot::apps {
namespace {

std::atomic<int> received{0};
std::atomic<int> status_given{0};
static_assert(std::atomic<int>::is_always_lock_free, "a handler may touch lock-free atomics only");

constexpr const char* kAnswer =
    "finishing the step and saving; Ctrl-C once more ends without saving\n";
constexpr const char* kLiveAnswer =
    "\r\x1b[Kfinishing the step and saving; Ctrl-C once more ends without saving\n";
std::atomic<const char*> answer{nullptr};

extern "C" void remember_stop(int signal_number) {
  int none = 0;
  const bool first = received.compare_exchange_strong(none, signal_number);
  const char* text = answer.load();
  if (first && text != nullptr) {
    const auto written = ::write(STDERR_FILENO, text, std::strlen(text));
    static_cast<void>(written);
  }
  // A second Ctrl-C ends the process at once.
  std::signal(SIGINT, SIG_DFL);
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
