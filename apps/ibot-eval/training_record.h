// What a task that trains shows and writes besides its weights.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/progress.h"
#include "ibot-eval/task.h"
#include "ibot/train/observer.h"
#include "ibot/train/run_log.h"

namespace ibot::apps {

/// A metric of a test, by its key in the record and by its name on the line of an epoch.
struct ShownMetric {
  std::string key;
  std::string name;
  int digits = 2;
};

/// Shows progress, a line an epoch with the metrics that its test has, and faults.
class TrainingConsole : public train::Observer {
 public:
  /// `steps` of the whole run.
  TrainingConsole(const std::string& task, const train::RunState& state, int64_t steps,
                  std::vector<ShownMetric> metrics);
  ~TrainingConsole() override;
  void on_step(const train::StepRecord& record) override;
  void on_epoch(const train::EpochRecord& record) override;
  void on_evaluation(const train::EvaluationRecord& record) override;
  void on_epoch_end() override;
  void on_fault(const train::FaultRecord& record) override;

 private:
  int64_t epochs_;
  std::vector<ShownMetric> metrics_;
  Progress progress_;
  std::string line_;
};

///   steps      of the whole run
///   constants  in every line of log.txt
struct RecordOptions {
  std::string task;
  int64_t steps = 0;
  std::vector<ShownMetric> metrics;
  std::vector<std::pair<std::string, int64_t>> constants = {};
};

/// The console and, with an output folder, the log files; on rank 0 alone.
class TrainingRecord {
 public:
  TrainingRecord(const TaskRequest& request, const train::RunState& state,
                 const RecordOptions& options);

  /// Empty on other ranks.
  std::vector<train::Observer*> observers();

 private:
  std::optional<TrainingConsole> shown_;
  std::optional<train::RunLog> files_;
};

}  // namespace ibot::apps
