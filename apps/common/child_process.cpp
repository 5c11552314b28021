#include "common/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>
#include <utility>

#include "common/run_main.h"
#include "common/signals.h"

namespace ibot::apps {
namespace {

constexpr std::array kPassedOn{SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};

sigset_t signals_of_interest() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : kPassedOn) sigaddset(&set, number);
  sigaddset(&set, SIGCHLD);
  return set;
}

/// Strings in the form that exec takes.
class Words {
 public:
  explicit Words(std::vector<std::string> words) : words_(std::move(words)) {
    for (auto& word : words_) pointers_.push_back(word.data());
    pointers_.push_back(nullptr);
  }
  char** data() { return pointers_.data(); }

 private:
  std::vector<std::string> words_;
  std::vector<char*> pointers_;
};

}  // namespace

BlockedSignals::BlockedSignals() {
  const auto set = signals_of_interest();
  ::pthread_sigmask(SIG_BLOCK, &set, &before_);
  descriptor_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  IBOT_CHECK(descriptor_ >= 0, "processes: cannot watch signals: ", std::strerror(errno));
  // A dead tee behind this process must not end those that work.
  std::signal(SIGPIPE, SIG_IGN);
}

BlockedSignals::~BlockedSignals() {
  ::close(descriptor_);
  unblock();
}

void BlockedSignals::unblock() const { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

std::vector<int> BlockedSignals::take() const {
  std::vector<int> taken;
  signalfd_siginfo info{};
  while (::read(descriptor_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo != SIGCHLD) taken.push_back(static_cast<int>(info.ssi_signo));
  }
  return taken;
}

std::vector<std::string> environment_with(const std::map<std::string, std::string>& own) {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text(*variable);
    if (own.count(text.substr(0, text.find('='))) == 0) variables.push_back(text);
  }
  for (const auto& [name, value] : own) variables.push_back(name + "=" + value);
  return variables;
}

// Between fork and exec only async-signal-safe calls: other threads may hold the allocator's lock.
Child start_child(const ChildOptions& options, const BlockedSignals& signals) {
  Words words(options.words), environment(options.environment);
  std::array<int, 2> pipe{-1, -1};
  IBOT_CHECK(!options.piped || ::pipe2(pipe.data(), O_CLOEXEC) == 0,
             "processes: cannot make a pipe: ", std::strerror(errno));
  const pid_t parent = ::getpid();
  const pid_t process = ::fork();
  IBOT_CHECK(process >= 0, "processes: cannot start one: ", std::strerror(errno));
  if (process == 0) {
    ::prctl(PR_SET_PDEATHSIG, options.death_signal);
    // The parent may have died before prctl().
    if (::getppid() != parent) ::_exit(kRunFailed);
    ::setpgid(0, 0);
    signals.unblock();
    if (options.piped) ::dup2(pipe[1], STDERR_FILENO);
    const int nothing = options.silent ? ::open("/dev/null", O_WRONLY) : -1;
    if (nothing >= 0) ::dup2(nothing, STDOUT_FILENO);
    ::execve("/proc/self/exe", words.data(), environment.data());
    ::_exit(kRunFailed);
  }
  if (options.piped) ::close(pipe[1]);
  return {.process = process, .errors = pipe[0], .partial = {}};
}

void read_lines(Child& child, const std::function<void(const std::string&)>& take) {
  std::array<char, 4096> chunk{};
  const auto size = ::read(child.errors, chunk.data(), chunk.size());
  if (size > 0) {
    child.partial.append(chunk.data(), static_cast<size_t>(size));
  } else {
    ::close(std::exchange(child.errors, -1));
    // A last line without a newline counts too.
    if (!child.partial.empty()) child.partial += '\n';
  }
  for (size_t end = child.partial.find('\n'); end != std::string::npos;
       end = child.partial.find('\n')) {
    take(child.partial.substr(0, end));
    child.partial.erase(0, end + 1);
  }
}

void wait_for_events(const BlockedSignals& signals, const std::vector<Child*>& children,
                     const std::function<void(Child&, const std::string&)>& take) {
  // Wakes without an event as well, for deadlines of the caller.
  constexpr int kLongest_ms = 500;
  std::vector<pollfd> events{{.fd = signals.descriptor(), .events = POLLIN, .revents = 0}};
  std::vector<Child*> sources;
  for (auto* child : children) {
    if (child->errors < 0) continue;
    events.push_back({.fd = child->errors, .events = POLLIN, .revents = 0});
    sources.push_back(child);
  }
  ::poll(events.data(), events.size(), kLongest_ms);
  for (size_t i = 0; i < sources.size(); ++i) {
    if (events[i + 1].revents == 0) continue;
    read_lines(*sources[i], [&](const std::string& line) { take(*sources[i], line); });
  }
}

bool has_just_ended(Child& child) {
  if (child.ended || ::waitpid(child.process, &child.status, WNOHANG) != child.process)
    return false;
  child.ended = true;
  return true;
}

std::string describe_end(int status) {
  if (WIFEXITED(status)) return concat("exited with status ", WEXITSTATUS(status));
  return concat("was killed by signal ", WTERMSIG(status), " (", ::strsignal(WTERMSIG(status)),
                ")");
}

bool was_stopped(int status) {
  if (WIFEXITED(status)) return WEXITSTATUS(status) == kTimeIsUp || WEXITSTATUS(status) > 128;
  return std::find(kPassedOn.begin(), kPassedOn.end(), WTERMSIG(status)) != kPassedOn.end();
}

int exit_status_of(int status) {
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  return was_stopped(status) ? stop_status_of(WTERMSIG(status)) : kRunFailed;
}

}  // namespace ibot::apps
