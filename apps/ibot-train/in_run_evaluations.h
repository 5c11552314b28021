// Evaluations of the teacher during a run.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "common/identity.h"
#include "ibot/config/run_config.h"
#include "ibot/evaluation/in_run.h"
#include "ibot/models/network.h"
#include "ibot/train/observer.h"

namespace ibot::apps {

/// Time and audience of an evaluation.
///
///   step     finished steps
///   glance   called after every batch; may throw
struct EvaluationTime {
  int64_t epoch = 0;
  int64_t step = 0;
  const std::vector<train::Observer*>& observers;
  std::function<void()> glance;
};

/// Evaluates a teacher on eval.path every few epochs, as `ibot-eval` does. The first of eval.tasks
/// selects the best checkpoint.
class InRunEvaluations {
 public:
  /// Opens the data, so that a task that cannot run is refused before training starts. Throws
  /// RequestError.
  InRunEvaluations(const config::RunConfig& config, std::vector<evaluation::Planned> tasks);

  /// The record of the first task if it is due after the epoch, for the trainer. Records of other
  /// tasks, or their failures, go to the observers; an exception of the first task is thrown.
  std::optional<train::EvaluationRecord> evaluate(const models::Network& teacher,
                                                  torch::Device device,
                                                  const EvaluationTime& now) const;

  /// Identity of scores of the first task, without the weights.
  const Identity& identity() const { return identity_; }

 private:
  using Task = evaluation::InRun::Task;

  bool chooses(const Task& task) const { return &task == &in_run_.tasks().front(); }
  train::EvaluationRecord record_of(const Task& task, evaluation::Source& source,
                                    const EvaluationTime& now) const;
  void tell(const Task& task, evaluation::Source& source, const EvaluationTime& now) const;

  evaluation::InRun in_run_;
  evaluation::ExtractionOptions extraction_;
  models::BackboneOptions backbone_;
  Identity identity_;
};

}  // namespace ibot::apps
