// Evaluations in the middle of a run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ibot/evaluation/evaluate.h"
#include "ibot/evaluation/evaluations.h"

namespace ibot::evaluation {

/// Knows which evaluations come due after an epoch, and holds the data that they read.
class InRun {
 public:
  struct Task {
    std::unique_ptr<Evaluation> evaluation;
    int64_t every_epochs = 1;
    std::unique_ptr<Data> data;
  };

  /// Opens all that `tasks` read below `root`, labeled images as train/ and val/, so that what
  /// cannot be evaluated ends the run before it starts.
  ///
  ///   epochs  of the run; after the last one all are due
  ///
  /// Throws as LabeledImages and Evaluation::open do, and OptionError where there are fewer images
  /// than an evaluation needs.
  InRun(std::vector<Planned> tasks, const std::filesystem::path& root, int64_t epochs);

  const std::vector<Task>& tasks() const { return tasks_; }
  /// None where no task reads them.
  const LabeledImages* images() const { return images_ ? &*images_ : nullptr; }
  /// Those due after `epoch`, counted from 0, in the order of tasks().
  std::vector<const Task*> due(int64_t epoch) const;

 private:
  std::vector<Task> tasks_;
  int64_t epochs_;
  std::optional<LabeledImages> images_;
};

}  // namespace ibot::evaluation
