// Events of a run and the observers that receive them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "ibot/train/run_state.h"

namespace ibot::train {

/// State of the teacher's targets and features at one step.
///
///   entropy_cls, entropy_patch  mean entropy of the targets of class tokens and patches, in nats
///   information_cls             mutual information of class targets and images, in nats: entropy
///                               of the mean target minus the mean entropy; 0 if all are equal
///   center_norm, …_patch        L2 norms of the centers
///   feature_rank                effective rank of the teacher's class tokens
struct HealthRecord {
  double entropy_cls = 0.0;
  double entropy_patch = 0.0;
  double information_cls = 0.0;
  double center_norm = 0.0;
  double center_norm_patch = 0.0;
  double feature_rank = 0.0;
};

/// Steps since the last record: means of losses and gradient norm, schedule values of the last
/// step. `step` counts finished steps.
struct StepRecord {
  int64_t step = 0;
  int64_t epoch = 0;
  double loss = 0.0;
  TermValues terms;
  double lr = 0.0;
  double weight_decay = 0.0;
  std::optional<double> momentum = std::nullopt;  // of the teacher
  double grad_norm = 0.0;
  double images_per_s = 0.0;
  double data_wait = 0.0;    // fraction of the time spent waiting for data
  double flops_per_s = 0.0;  // useful operations of all ranks; 0: not counted
  double mfu = 0.0;          // their share of what large matrix products reach on these devices
  int64_t memory_bytes = 0;
  double loss_z = 0.0;  // largest loss, in standard deviations above the running mean
  int64_t skipped = 0;  // non-finite steps, excluded from means
  std::optional<HealthRecord> health = std::nullopt;  // if the last step ended an interval
};

/// Means over all steps of a finished epoch. `more` holds what the kind of training adds, under the
/// official programs' names: acc, nmi, ari, fscore and adjacc in pre-training, the agreement of the
/// teacher's prototypes with the labels.
struct EpochRecord {
  int64_t step = 0;
  int64_t epoch = 0;
  double loss = 0.0;
  TermValues terms;
  double lr = 0.0;
  double weight_decay = 0.0;
  TermValues more;

  /// An entry of `more`; 0 if absent.
  double at(const std::string& name) const {
    for (const auto& [known, value] : more) {
      if (known == name) return value;
    }
    return 0.0;
  }
};

/// An evaluation during a run; accuracies in percent. The best checkpoint is chosen by `score`,
/// higher is better; without a score the evaluation does not count for it.
struct EvaluationRecord {
  int64_t step = 0;
  int64_t epoch = 0;
  std::string name;
  std::map<std::string, double> metrics;
  std::optional<double> score = std::nullopt;
  std::string identity = {};  // of the data and options of the evaluation
  TermValues log = {};        // entries of the epoch's line in log.txt
};

/// A fault that the run survived.
///
///   kind  save_failed | skipped | rolled_back | loss_spike | collapse
///   text  what, where and remedy, in one line
struct FaultRecord {
  int64_t step = 0;
  int64_t epoch = 0;
  std::string kind;
  std::string text;
};

/// Receives the events of a run; the trainer itself neither prints nor evaluates.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_step(const StepRecord&) {}
  virtual void on_epoch(const EpochRecord&) {}
  virtual void on_evaluation(const EvaluationRecord&) {}
  /// After the epoch's evaluations.
  virtual void on_epoch_end() {}
  /// After a checkpoint has been written.
  virtual void on_checkpoint(const std::filesystem::path&) {}
  virtual void on_fault(const FaultRecord&) {}
};

}  // namespace ibot::train
