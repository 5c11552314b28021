#include "common/local_ranks.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <string_view>
#include <thread>

#include "common/console.h"
#include "common/run_main.h"
#include "common/signals.h"
#include "ibot/dist/rendezvous.h"

namespace ibot::apps {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kGrace{10};
constexpr std::array kPassedOn{SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
constexpr std::string_view kError = "error: ";

std::string describe(int status) {
  if (WIFEXITED(status)) return concat("exited with status ", WEXITSTATUS(status));
  return concat("was killed by signal ", WTERMSIG(status), " (", ::strsignal(WTERMSIG(status)),
                ")");
}

/// Whether a rank exited because it was asked to stop. A signal kills ranks that do not catch it
/// yet or any more. Batch systems signal ranks directly, so it need not have passed through this
/// process.
bool stopped(int status) {
  if (WIFEXITED(status)) return WEXITSTATUS(status) == kTimeIsUp || WEXITSTATUS(status) > 128;
  return std::find(kPassedOn.begin(), kPassedOn.end(), WTERMSIG(status)) != kPassedOn.end();
}

/// The exit status of this program for the wait status of a rank.
int exit_status(int status) {
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  return stopped(status) ? stop_status_of(WTERMSIG(status)) : kRunFailed;
}

sigset_t signals_of_interest() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : kPassedOn) sigaddset(&set, number);
  sigaddset(&set, SIGCHLD);
  return set;
}

/// Blocks these signals in this thread and all threads it starts; a descriptor reports them
/// instead.
class BlockedSignals {
 public:
  BlockedSignals() {
    const auto set = signals_of_interest();
    ::pthread_sigmask(SIG_BLOCK, &set, &before_);
    descriptor_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    IBOT_CHECK(descriptor_ >= 0, "--nproc: cannot watch signals: ", std::strerror(errno));
  }
  ~BlockedSignals() {
    ::close(descriptor_);
    unblock();
  }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

  int descriptor() const { return descriptor_; }
  void unblock() const { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
  int descriptor_ = -1;
};

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

std::vector<std::string> environment_of(int64_t rank, int64_t count, uint16_t port) {
  const std::vector<std::pair<std::string, std::string>> own{
      {"RANK", std::to_string(rank)},
      {"LOCAL_RANK", std::to_string(rank)},
      {"WORLD_SIZE", std::to_string(count)},
      {"LOCAL_WORLD_SIZE", std::to_string(count)},
      {"MASTER_ADDR", "127.0.0.1"},
      {"MASTER_PORT", std::to_string(port)},
      {"TORCHELASTIC_USE_AGENT_STORE", "True"},
      {"TORCHELASTIC_RESTART_COUNT", "0"}};
  std::vector<std::string> variables;
  bool has_threads = false;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    const auto name = text.substr(0, text.find('='));
    has_threads = has_threads || name == "OMP_NUM_THREADS";
    const auto same = [&](const auto& entry) { return entry.first == name; };
    if (std::none_of(own.begin(), own.end(), same)) variables.emplace_back(text);
  }
  for (const auto& [name, value] : own) variables.push_back(name + "=" + value);
  // With one thread per core in every rank, ranks compete for the cores.
  const auto share = std::max<int64_t>(std::thread::hardware_concurrency() / count, 1);
  if (!has_threads) variables.push_back("OMP_NUM_THREADS=" + std::to_string(share));
  return variables;
}

/// One started process.
struct Rank {
  int64_t number = 0;
  pid_t process = -1;
  int errors = -1;      // read end of its standard error; -1: it inherits ours
  std::string partial;  // an incomplete line
  std::string error;    // its last error line
  bool ended = false;
  int status = 0;
};

class LocalRanks {
 public:
  LocalRanks(int64_t count, const std::vector<std::string>& words,
             std::optional<std::chrono::milliseconds> end_grace);
  ~LocalRanks();
  LocalRanks(const LocalRanks&) = delete;
  LocalRanks& operator=(const LocalRanks&) = delete;

  int run();

 private:
  void start(int64_t number, int64_t count, const std::vector<std::string>& words);
  void wait_for_events();
  void read_errors(Rank& rank);
  void take_line(Rank& rank, const std::string& line);
  void take_signals();
  void collect_ended();
  void note_end(Rank& rank);
  void leave_others(std::chrono::milliseconds time);
  bool all_ended() const;
  void tell_failures() const;

  BlockedSignals signals_;  // first: the store starts threads
  dist::RankStore store_;
  std::optional<std::chrono::milliseconds> end_grace_;
  std::vector<Rank> ranks_;
  Rank* decisive_ = nullptr;  // the first with a status other than 0
  Clock::time_point deadline_ = Clock::time_point::max();
};

LocalRanks::LocalRanks(int64_t count, const std::vector<std::string>& words,
                       std::optional<std::chrono::milliseconds> end_grace)
    : end_grace_(end_grace) {
  ranks_.reserve(static_cast<size_t>(count));
  for (int64_t number = 0; number < count; ++number) start(number, count, words);
}

LocalRanks::~LocalRanks() {
  for (auto& rank : ranks_) {
    if (!rank.ended) {
      ::kill(rank.process, SIGKILL);
      ::waitpid(rank.process, nullptr, 0);
    }
    if (rank.errors >= 0) ::close(rank.errors);
  }
}

// Between fork and exec only async-signal-safe calls: other threads may hold the allocator's lock.
void LocalRanks::start(int64_t number, int64_t count, const std::vector<std::string>& words) {
  Words arguments(words), environment(environment_of(number, count, store_.port()));
  std::array<int, 2> pipe{-1, -1};
  // Rank 0 prints for itself; lines of the others are printed here, with their number.
  const bool piped = number > 0;
  IBOT_CHECK(!piped || ::pipe2(pipe.data(), O_CLOEXEC) == 0,
             "--nproc: cannot make a pipe: ", std::strerror(errno));
  const pid_t parent = ::getpid();
  const pid_t process = ::fork();
  IBOT_CHECK(process >= 0, "--nproc: cannot start a process: ", std::strerror(errno));
  if (process == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    // The parent may have died before prctl().
    if (::getppid() != parent) ::_exit(kRunFailed);
    // Its own process group: Ctrl-C reaches a rank only through this program, and once.
    ::setpgid(0, 0);
    signals_.unblock();
    if (piped) {
      ::dup2(pipe[1], STDERR_FILENO);
      const int nothing = ::open("/dev/null", O_WRONLY);
      if (nothing >= 0) ::dup2(nothing, STDOUT_FILENO);
    }
    ::execve("/proc/self/exe", arguments.data(), environment.data());
    ::_exit(kRunFailed);
  }
  if (piped) ::close(pipe[1]);
  ranks_.push_back({.number = number, .process = process, .errors = pipe[0]});
}

bool LocalRanks::all_ended() const {
  return std::all_of(ranks_.begin(), ranks_.end(), [](const Rank& rank) { return rank.ended; });
}

void LocalRanks::take_line(Rank& rank, const std::string& line) {
  if (line.rfind(kError, 0) == 0) {
    rank.error = line.substr(kError.size());
  } else if (!line.empty()) {
    console().print_line(concat("rank ", rank.number, ": ", line));
  }
}

void LocalRanks::read_errors(Rank& rank) {
  std::array<char, 4096> chunk{};
  const auto size = ::read(rank.errors, chunk.data(), chunk.size());
  if (size > 0) {
    rank.partial.append(chunk.data(), static_cast<size_t>(size));
  } else {
    ::close(std::exchange(rank.errors, -1));
    // A last line without a newline counts too.
    if (!rank.partial.empty()) rank.partial += '\n';
  }
  for (size_t end = rank.partial.find('\n'); end != std::string::npos;
       end = rank.partial.find('\n')) {
    take_line(rank, rank.partial.substr(0, end));
    rank.partial.erase(0, end + 1);
  }
}

void LocalRanks::take_signals() {
  signalfd_siginfo info{};
  while (::read(signals_.descriptor(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo == SIGCHLD) continue;
    for (const auto& rank : ranks_) {
      if (!rank.ended) ::kill(rank.process, static_cast<int>(info.ssi_signo));
    }
  }
}

/// Limits the time the others have to exit from now on.
void LocalRanks::leave_others(std::chrono::milliseconds time) {
  deadline_ = std::min(deadline_, Clock::now() + time);
}

void LocalRanks::note_end(Rank& rank) {
  rank.ended = true;
  if (end_grace_) leave_others(*end_grace_);
  if (rank.status == 0 || decisive_ != nullptr) return;
  decisive_ = &rank;
  if (WIFEXITED(rank.status) && stopped(rank.status)) return;
  leave_others(kGrace);
  // A rank that exited by itself has told the others why.
  if (WIFSIGNALED(rank.status)) store_.report_lost(rank.number, describe(rank.status));
}

void LocalRanks::collect_ended() {
  for (auto& rank : ranks_) {
    if (!rank.ended && ::waitpid(rank.process, &rank.status, WNOHANG) == rank.process) {
      note_end(rank);
    }
  }
  if (Clock::now() < deadline_) return;
  for (auto& rank : ranks_) {
    if (rank.ended) continue;
    if (rank.error.empty()) rank.error = "did not exit with the others";
    ::kill(rank.process, SIGKILL);
  }
}

void LocalRanks::wait_for_events() {
  // Wakes without an event as well, to check the deadline.
  constexpr int kLongest_ms = 500;
  std::vector<pollfd> events{{.fd = signals_.descriptor(), .events = POLLIN, .revents = 0}};
  std::vector<Rank*> sources;
  for (auto& rank : ranks_) {
    if (rank.errors < 0) continue;
    events.push_back({.fd = rank.errors, .events = POLLIN, .revents = 0});
    sources.push_back(&rank);
  }
  ::poll(events.data(), events.size(), kLongest_ms);
  for (size_t i = 0; i < sources.size(); ++i) {
    if (events[i + 1].revents != 0) read_errors(*sources[i]);
  }
}

/// Rank 0 has printed its own error; an invalid request is invalid for all ranks alike.
void LocalRanks::tell_failures() const {
  const auto& first = ranks_.front();
  if (WIFEXITED(first.status) && WEXITSTATUS(first.status) == kWrongRequest) return;
  for (const auto& rank : ranks_) {
    if (!rank.error.empty()) {
      console().print_line(concat("rank ", rank.number, ": ", kError, rank.error));
    }
  }
  if (decisive_ == nullptr || stopped(decisive_->status)) return;
  const auto& error = decisive_->error;
  console().print_line(concat(kError, "rank ", decisive_->number, " failed first: it ",
                              describe(decisive_->status), error.empty() ? "" : ": " + error));
}

int LocalRanks::run() {
  while (!all_ended()) {
    wait_for_events();
    take_signals();
    collect_ended();
  }
  for (auto& rank : ranks_) {
    while (rank.errors >= 0) read_errors(rank);
  }
  tell_failures();
  return decisive_ == nullptr ? kDone : exit_status(decisive_->status);
}

}  // namespace

void add_nproc_argument(CLI::App& app, std::optional<int64_t>& count) {
  app.add_option(
         "--nproc", count,
         "number of ranks to start on this machine; default: as set by the launcher, else one")
      ->check(CLI::Range(1, 1024))
      ->option_text("N");
}

std::vector<std::string> without_nproc(int argc, char** argv) {
  constexpr std::string_view kName = "--nproc";
  std::vector<std::string> words;
  for (int i = 0; i < argc; ++i) {
    const std::string_view word(argv[i]);
    if (word == kName) {
      ++i;
    } else if (word.substr(0, kName.size() + 1) != "--nproc=") {
      words.emplace_back(word);
    }
  }
  return words;
}

int run_local_ranks(int64_t count, const std::vector<std::string>& words,
                    std::optional<std::chrono::milliseconds> end_grace) {
  return LocalRanks(count, words, end_grace).run();
}

}  // namespace ibot::apps
