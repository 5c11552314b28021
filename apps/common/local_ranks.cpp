#include "common/local_ranks.h"

#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <map>
#include <string_view>
#include <thread>

#include "common/child_process.h"
#include "common/console.h"
#include "common/run_main.h"
#include "ibot/dist/rendezvous.h"

namespace ibot::apps {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kGrace{10};
constexpr std::string_view kError = "error: ";

std::vector<std::string> environment_of(int64_t rank, int64_t count, uint16_t port) {
  std::map<std::string, std::string> own{{"RANK", std::to_string(rank)},
                                         {"LOCAL_RANK", std::to_string(rank)},
                                         {"WORLD_SIZE", std::to_string(count)},
                                         {"LOCAL_WORLD_SIZE", std::to_string(count)},
                                         {"MASTER_ADDR", "127.0.0.1"},
                                         {"MASTER_PORT", std::to_string(port)},
                                         {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                                         {"TORCHELASTIC_RESTART_COUNT", "0"}};
  // With one thread per core in every rank, ranks compete for the cores.
  const auto share = std::max<int64_t>(std::thread::hardware_concurrency() / count, 1);
  if (std::getenv("OMP_NUM_THREADS") == nullptr) own["OMP_NUM_THREADS"] = std::to_string(share);
  return environment_with(own);
}

/// A process that is a rank.
struct Rank {
  int64_t number = 0;
  Child child;
  std::string error;  // its last error line
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
  void take_line(Rank& rank, const std::string& line);
  void wait();
  void pass_on_signals();
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
  for (int64_t number = 0; number < count; ++number) {
    // Rank 0 prints for itself; lines of the others are printed here, with their number.
    const bool piped = number > 0;
    ranks_.push_back(
        {.number = number,
         .child = start_child({.words = words,
                               .environment = environment_of(number, count, store_.port()),
                               .piped = piped,
                               .silent = piped},
                              signals_),
         .error = {}});
  }
}

LocalRanks::~LocalRanks() {
  for (auto& [number, child, error] : ranks_) {
    if (!child.ended) {
      ::kill(child.process, SIGKILL);
      ::waitpid(child.process, nullptr, 0);
    }
    if (child.errors >= 0) ::close(child.errors);
  }
}

bool LocalRanks::all_ended() const {
  return std::all_of(ranks_.begin(), ranks_.end(),
                     [](const Rank& rank) { return rank.child.ended; });
}

void LocalRanks::take_line(Rank& rank, const std::string& line) {
  if (line.rfind(kError, 0) == 0) {
    rank.error = line.substr(kError.size());
  } else if (!line.empty()) {
    console().print_line(concat("rank ", rank.number, ": ", line));
  }
}

void LocalRanks::wait() {
  std::vector<Child*> children;
  for (auto& rank : ranks_) children.push_back(&rank.child);
  wait_for_events(signals_, children, [this](const Child& child, const std::string& line) {
    const auto rank = std::find_if(ranks_.begin(), ranks_.end(),
                                   [&](const Rank& one) { return &one.child == &child; });
    take_line(*rank, line);
  });
}

void LocalRanks::pass_on_signals() {
  for (const int number : signals_.take()) {
    for (const auto& rank : ranks_) {
      if (!rank.child.ended) ::kill(rank.child.process, number);
    }
  }
}

/// Limits the time the others have to exit from now on.
void LocalRanks::leave_others(std::chrono::milliseconds time) {
  deadline_ = std::min(deadline_, Clock::now() + time);
}

void LocalRanks::note_end(Rank& rank) {
  const int status = rank.child.status;
  if (end_grace_) leave_others(*end_grace_);
  if (status == 0 || decisive_ != nullptr) return;
  decisive_ = &rank;
  if (WIFEXITED(status) && was_stopped(status)) return;
  leave_others(kGrace);
  // A rank that exited by itself has told the others why.
  if (WIFSIGNALED(status)) store_.report_lost(rank.number, describe_end(status));
}

void LocalRanks::collect_ended() {
  for (auto& rank : ranks_) {
    if (has_just_ended(rank.child)) note_end(rank);
  }
  if (Clock::now() < deadline_) return;
  for (auto& rank : ranks_) {
    if (rank.child.ended) continue;
    if (rank.error.empty()) rank.error = "did not exit with the others";
    ::kill(rank.child.process, SIGKILL);
  }
}

/// Rank 0 has printed its own error; an invalid request is invalid for all ranks alike.
void LocalRanks::tell_failures() const {
  const auto& first = ranks_.front();
  if (WIFEXITED(first.child.status) && WEXITSTATUS(first.child.status) == kWrongRequest) return;
  for (const auto& rank : ranks_) {
    if (!rank.error.empty()) {
      console().print_line(concat("rank ", rank.number, ": ", kError, rank.error));
    }
  }
  if (decisive_ == nullptr || was_stopped(decisive_->child.status)) return;
  const auto& error = decisive_->error;
  console().print_line(concat(kError, "rank ", decisive_->number, " failed first: it ",
                              describe_end(decisive_->child.status),
                              error.empty() ? "" : ": " + error));
}

int LocalRanks::run() {
  while (!all_ended()) {
    wait();
    pass_on_signals();
    collect_ended();
  }
  for (auto& rank : ranks_) {
    while (rank.child.errors >= 0) {
      read_lines(rank.child, [&](const std::string& line) { take_line(rank, line); });
    }
  }
  tell_failures();
  return decisive_ == nullptr ? kDone : exit_status_of(decisive_->child.status);
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
