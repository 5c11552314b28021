#include "ibot-train/sweep.h"

#include <ATen/Context.h>
#include <signal.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <thread>

#include "common/child_process.h"
#include "common/console.h"
#include "common/logging.h"
#include "common/progress.h"
#include "common/run_main.h"
#include "ibot-train/run_table.h"
#include "ibot/config/written_values.h"
#include "ibot/io/file.h"

namespace ibot::apps {
namespace {

using Clock = std::chrono::steady_clock;

/// Separated by commas.
std::vector<std::string> parts_of(const std::string& list) {
  std::vector<std::string> parts;
  for (size_t begin = 0, end = 0; end != std::string::npos; begin = end + 1) {
    end = list.find(',', begin);
    parts.push_back(list.substr(begin, end - begin));
  }
  return parts;
}

/// GPUs that this process sees, as CUDA_VISIBLE_DEVICES names them.
std::vector<std::string> visible_gpus() {
  const char* named = std::getenv("CUDA_VISIBLE_DEVICES");
  if (named != nullptr) return *named == '\0' ? std::vector<std::string>{} : parts_of(named);
  std::vector<std::string> gpus;
  if (!at::hasCUDA()) return gpus;
  const auto count = at::globalContext().getAcceleratorHooksInterface().deviceCount();
  for (int64_t gpu = 0; gpu < count; ++gpu) gpus.push_back(std::to_string(gpu));
  return gpus;
}

/// A run of the sweep and its process, if it was started.
struct SweptRun {
  const TrainRequest* request = nullptr;
  size_t slot = 0;
  std::optional<Child> child;
};

class Sweep {
 public:
  Sweep(const std::vector<TrainRequest>& requests, const SweepPlan& plan) : plan_(plan) {
    for (const auto& request : requests) runs_.push_back({.request = &request, .child = {}});
  }
  Sweep(const Sweep&) = delete;
  Sweep& operator=(const Sweep&) = delete;
  ~Sweep();

  void run();
  int status() const;
  std::string state_of(const SweptRun& run) const;
  const std::vector<SweptRun>& runs() const { return runs_; }

 private:
  void start_next();
  std::map<std::string, std::string> share_of(size_t slot) const;
  void pass_on_signals();
  void note_ends();
  void tell_time_left() const;

  const SweepPlan& plan_;
  BlockedSignals signals_;
  std::vector<SweptRun> runs_;
  size_t next_ = 0;
  size_t ended_ = 0;
  std::vector<bool> slots_ = std::vector<bool>(static_cast<size_t>(plan_.parallel));
  bool stopping_ = false;
  Clock::time_point started_ = Clock::now();
};

Sweep::~Sweep() {
  for (auto& run : runs_) {
    if (run.child && !run.child->ended) ::kill(run.child->process, SIGTERM);
  }
}

/// Environment of the run in a slot: without a share of its own it would compete with the others.
std::map<std::string, std::string> Sweep::share_of(size_t slot) const {
  std::map<std::string, std::string> own;
  if (plan_.parallel == 1) return own;
  const auto processes = plan_.parallel * plan_.processes;
  const auto threads = std::max<int64_t>(std::thread::hardware_concurrency() / processes, 1);
  if (std::getenv("OMP_NUM_THREADS") == nullptr) own["OMP_NUM_THREADS"] = std::to_string(threads);
  const auto gpus = visible_gpus();
  const auto wanted = static_cast<size_t>(plan_.processes);
  if (gpus.size() <= wanted) return own;
  std::string names;
  for (size_t i = 0; i < wanted; ++i) {
    names += (i > 0 ? "," : "") + gpus[(slot * wanted + i) % gpus.size()];
  }
  own["CUDA_VISIBLE_DEVICES"] = names;
  return own;
}

void Sweep::start_next() {
  auto& run = runs_[next_++];
  const auto free = std::find(slots_.begin(), slots_.end(), false);
  run.slot = static_cast<size_t>(free - slots_.begin());
  *free = true;
  auto words = plan_.words;
  words.insert(words.end(), {"--sweep-run", run.request->name});
  log_notice(concat("run ", next_, " of ", runs_.size(), ": ", run.request->output.string()));
  run.child = start_child({.words = words,
                           .environment = environment_with(share_of(run.slot)),
                           .piped = plan_.parallel > 1,
                           .silent = false,
                           .death_signal = SIGTERM},
                          signals_);
}

void Sweep::pass_on_signals() {
  for (const int number : signals_.take()) {
    stopping_ = stopping_ || number != SIGUSR2;
    for (const auto& run : runs_) {
      if (run.child && !run.child->ended) ::kill(run.child->process, number);
    }
  }
}

void Sweep::tell_time_left() const {
  const auto left = runs_.size() - ended_;
  // One that failed at once says nothing of how long the others take.
  const auto done = std::count_if(runs_.begin(), runs_.end(), [this](const SweptRun& run) {
    return run.child && run.child->ended && state_of(run) == "done";
  });
  if (left == 0 || stopping_ || done == 0) return;
  const double elapsed = std::chrono::duration<double>(Clock::now() - started_).count();
  log_info(concat(ended_, " of ", runs_.size(), " runs ended; about ",
                  format_duration(elapsed / static_cast<double>(done) * static_cast<double>(left)),
                  " for the others"));
}

void Sweep::note_ends() {
  for (auto& run : runs_) {
    if (!run.child || !has_just_ended(*run.child)) continue;
    while (run.child->errors >= 0) {
      read_lines(*run.child, [&](const std::string& line) {
        console().print_line(run.request->name + ": " + line);
      });
    }
    slots_[run.slot] = false;
    ++ended_;
    const int status = run.child->status;
    stopping_ = stopping_ || was_stopped(status);
    if (was_stopped(status)) {
      log_info(concat("run ", run.request->name, " was stopped; the same command resumes it"));
    } else if (status != 0) {
      log_warning(concat("run ", run.request->name, " ", describe_end(status)));
    }
    tell_time_left();
  }
}

void Sweep::run() {
  const auto running = [this] {
    return std::any_of(runs_.begin(), runs_.end(),
                       [](const SweptRun& run) { return run.child && !run.child->ended; });
  };
  while (running() || (next_ < runs_.size() && !stopping_)) {
    while (next_ < runs_.size() && !stopping_ &&
           std::find(slots_.begin(), slots_.end(), false) != slots_.end()) {
      start_next();
    }
    std::vector<Child*> children;
    for (auto& run : runs_) {
      if (run.child) children.push_back(&*run.child);
    }
    wait_for_events(signals_, children, [this](const Child& child, const std::string& line) {
      const auto run = std::find_if(runs_.begin(), runs_.end(), [&](const SweptRun& one) {
        return one.child && &*one.child == &child;
      });
      console().print_line(run->request->name + ": " + line);
    });
    pass_on_signals();
    note_ends();
  }
}

std::string Sweep::state_of(const SweptRun& run) const {
  if (!run.child) return "not started";
  if (run.child->status == 0) return "done";
  return was_stopped(run.child->status) ? "stopped" : "failed";
}

int Sweep::status() const {
  int status = kDone;
  for (const auto& run : runs_) {
    if (!run.child || run.child->status == 0) continue;
    if (was_stopped(run.child->status)) return exit_status_of(run.child->status);
    status = kRunFailed;
  }
  // A signal between two runs.
  return status == kDone && next_ < runs_.size() ? 128 + SIGTERM : status;
}

int64_t index_in(const std::string& text, const char* name, size_t count) {
  int64_t index = -1;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), index);
  const bool whole = parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
  IBOT_CHECK_AS(ConfigError, whole && index >= 0 && index < static_cast<int64_t>(count), name,
                ": expected a name or an index below ", count, ", got ", text,
                "; --list shows the runs");
  return index;
}

/// Earlier versions numbered the folders, so that a value more renamed them all.
void warn_of_numbered_folders(const std::filesystem::path& output) {
  std::error_code unknown;
  std::filesystem::directory_iterator entry(output, unknown);
  for (; !unknown && entry != std::filesystem::directory_iterator(); entry.increment(unknown)) {
    const auto name = entry->path().filename().string();
    const auto digits = name.find_first_not_of("0123456789");
    if (digits == std::string::npos || digits < 3 || name[digits] != '-') continue;
    log_warning(concat(output.string(), ": ", name,
                       " is a run of an earlier version; it is left "
                       "alone and trained again, unless it is renamed as --list names it"));
    return;
  }
}

}  // namespace

void list_sweep(const std::vector<TrainRequest>& requests) {
  for (size_t i = 0; i < requests.size(); ++i) {
    std::cout << i << '\t' << requests[i].name << '\t' << requests[i].swept << '\n';
  }
}

const TrainRequest& chosen_run(const std::vector<TrainRequest>& requests,
                               const std::string& which) {
  const auto named = std::find_if(requests.begin(), requests.end(),
                                  [&](const TrainRequest& one) { return one.name == which; });
  if (named != requests.end()) return *named;
  if (which != "array") return requests[index_in(which, "--sweep-run", requests.size())];
  const char* task = std::getenv("SLURM_ARRAY_TASK_ID");
  IBOT_CHECK_AS(ConfigError, task != nullptr,
                "--sweep-run array: expected SLURM_ARRAY_TASK_ID in the environment, found none; "
                "submit with sbatch --array=0-",
                requests.size() - 1);
  return requests[index_in(task, "SLURM_ARRAY_TASK_ID", requests.size())];
}

int run_sweep(const std::vector<TrainRequest>& requests, const SweepPlan& plan) {
  warn_of_numbered_folders(plan.output);
  Sweep sweep(requests, plan);
  sweep.run();
  if (requests.front().dry_run) return sweep.status();
  std::vector<report::RunRecord> records;
  std::vector<std::string> states;
  for (const auto& run : sweep.runs()) {
    auto& record = records.emplace_back(report::read_run(run.request->output));
    // As requested, also of a run that has written nothing.
    record.keys =
        config::written_values(config::write_config(run.request->config), run.request->name);
    states.push_back(sweep.state_of(run));
  }
  const auto table = run_table(records, states);
  std::cout << as_text(table);
  try {
    io::write_file(plan.output / "sweep.csv", as_csv(table));
  } catch (const Error& problem) {
    log_warning(problem.what());  // the table has been printed
  }
  return sweep.status();
}

}  // namespace ibot::apps
