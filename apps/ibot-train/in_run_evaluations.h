// Evaluations in the middle of a run, on its teacher.
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

/// When it is, and who hears of it.
///
///   step     finished steps
///   glance   called after every batch; may throw
struct EvaluationTime {
  int64_t epoch = 0;
  int64_t step = 0;
  const std::vector<train::Observer*>& observers;
  std::function<void()> glance;
};

/// Evaluates a teacher on eval.path every few epochs as `ibot-eval` does. The first of eval.tasks
/// chooses the best checkpoint.
class InRunEvaluations {
 public:
  /// Opens the data, so that what cannot be evaluated ends the run before it starts. Throws
  /// RequestError.
  InRunEvaluations(const config::RunConfig& config, std::vector<evaluation::Planned> tasks);

  /// The record of the first task where it is due after the epoch, for the trainer. Records of the
  /// others, or faults where they fail, go to the observers; what the first throws is thrown.
  std::optional<train::EvaluationRecord> evaluate(const models::Network& teacher,
                                                  torch::Device device,
                                                  const EvaluationTime& now) const;

  /// What scores of the first task belong to, weights apart.
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
