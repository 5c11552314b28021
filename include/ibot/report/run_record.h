// What a folder of results tells of its run: pre-training, a task of ibot-eval, or a run of the
// official program. Reads what is there: a run may still be going on, have been killed, or be of
// another version.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace ibot::report {

/// A quantity over a run, by increasing x; NaN where it was not finite.
struct Series {
  std::vector<double> x;
  std::vector<double> y;
};

/// An evaluation during the run, or the last one of a task, from its report (step and epoch -1).
struct EvaluationResult {
  std::string name;
  int64_t step = -1;
  int64_t epoch = -1;  // from 0
  std::map<std::string, double> metrics;
};

/// A fault that the run survived; kinds as in train::FaultRecord.
struct Fault {
  int64_t step = 0;
  int64_t epoch = 0;
  std::string kind;
  std::string text;
};

/// An image that could not be read and was replaced.
struct BadSample {
  int64_t epoch = 0;
  std::string path;
  std::string reason;
};

/// One run.
///
///   task      pretrain; of ibot-eval that of the report; training: a task without a report so far
///   keys      config.yaml by "section.key", as plain text; of a task without that file, the
///             options of its report by "task.option"
///   results   metrics of the last evaluation of each name, "knn.top1_k20"; of a task, those of
///             its report; and "loss", the mean of the last epoch, or without one of the last steps
///   by_step   columns of metrics.jsonl over finished steps
///   by_epoch  columns of log.txt over epochs, counted from 0
///   failure   the error that ended it, where nothing went on after it
///   problems  files and lines that could not be read, one line each
struct RunRecord {
  std::filesystem::path folder;
  std::string name;
  std::string task = "training";
  bool done = false;
  int64_t step = 0;          // finished
  int64_t epochs = 0;        // finished
  int64_t total_epochs = 0;  // 0: unknown
  int64_t written_s = 0;     // when a log was last written to, in seconds since 1970
  std::string failure;
  std::map<std::string, std::string> keys;
  std::map<std::string, double> results;
  std::map<std::string, Series> by_step;
  std::map<std::string, Series> by_epoch;
  std::vector<EvaluationResult> evaluations;
  std::vector<Fault> faults;
  std::vector<BadSample> bad_samples;
  std::vector<std::string> problems;
};

/// Reads one folder; `name` is its file name. Never fails: what cannot be read is in `problems`.
RunRecord read_run(const std::filesystem::path& folder);

/// Folders of results at or below `where`, sorted: those that hold metrics.jsonl, log.txt or
/// report.json. Empty if there is none, or no such folder.
std::vector<std::filesystem::path> find_runs(const std::filesystem::path& where);

/// All runs at or below the folders, each once, in this order, named by what distinguishes their
/// paths.
std::vector<RunRecord> read_runs(const std::vector<std::filesystem::path>& folders);

/// The metric that stands for an evaluation, of those that it has; empty without any.
std::string main_metric(const std::set<std::string>& metrics);

/// The result that stands for runs: the metric above of the first evaluation, else "loss".
std::string main_result(const std::vector<RunRecord>& runs);

/// Keys whose values are not the same in all runs, sorted; a key that a run lacks differs.
std::vector<std::string> differing_keys(const std::vector<RunRecord>& runs);

}  // namespace ibot::report
