// The runs of a sweep, each in a process of its own.
#pragma once

#include <string>
#include <vector>

#include "ibot-train/pretrain.h"

namespace ibot::apps {

/// How to run a sweep.
///
///   words      the command line of this program, to which `--sweep-run NAME` is added for each run
///   parallel   number of runs at a time
///   processes  ranks of each run
///   output     folder of the sweep
struct SweepPlan {
  std::vector<std::string> words;
  int64_t parallel = 1;
  int64_t processes = 1;
  std::filesystem::path output;
};

/// Prints one line per run: index, name and values, separated by tabs.
void list_sweep(const std::vector<TrainRequest>& requests);

/// The run named by `which`: an index, a name, or "array" for that of SLURM_ARRAY_TASK_ID. Throws
/// ConfigError.
const TrainRequest& chosen_run(const std::vector<TrainRequest>& requests, const std::string& which);

/// Runs all of them, those in other folders at the same time if the plan says so. A run that fails,
/// however it ends, does not stop the others; stop signals are passed on, and no further run then
/// starts. With several at a time, their lines have the run's name in front, and threads and GPUs
/// are divided among them. Prints a table of the results and writes it to OUT/sweep.csv.
///
/// Returns 0 if all are done, the status of a stopped run if one was stopped, otherwise 1.
int run_sweep(const std::vector<TrainRequest>& requests, const SweepPlan& plan);

}  // namespace ibot::apps
