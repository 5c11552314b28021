// What a run tells those who watch it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "ibot/train/run_state.h"

namespace ibot::train {

/// How the teacher's targets and features stand, at one step.
///
///   entropy_cls, entropy_patch  mean entropy of the targets of class tokens and patches, in nats
///   information_cls             what class targets tell about images: entropy of their mean less
///                               their mean entropy, in nats; 0 when all images have the same one
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

/// The steps since the last record: means of losses and gradient norm, schedule values of the last
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
  double data_wait = 0.0;    // share of the time spent waiting for data
  double flops_per_s = 0.0;  // useful operations of all ranks; 0: not counted
  double mfu = 0.0;          // their share of what large matrix products reach on these devices
  int64_t memory_bytes = 0;
  double loss_z = 0.0;  // largest of the steps' losses, in deviations from their running mean
  int64_t skipped = 0;  // steps that were not finite; means leave them out
  std::optional<HealthRecord> health = std::nullopt;  // where the last step ended an interval
};

/// Means over all steps of a finished epoch. `more` is what the kind of training adds, under the
/// official programs' names: of pre-training acc, nmi, ari, fscore and adjacc, how the teacher's
/// prototypes agree with the labels.
struct EpochRecord {
  int64_t step = 0;
  int64_t epoch = 0;
  double loss = 0.0;
  TermValues terms;
  double lr = 0.0;
  double weight_decay = 0.0;
  TermValues more;

  /// One of `more`; 0 where it is not among them.
  double at(const std::string& name) const {
    for (const auto& [known, value] : more) {
      if (known == name) return value;
    }
    return 0.0;
  }
};

/// An evaluation in the middle of a run; accuracies in percent. `score` is what the best checkpoint
/// is chosen by, the higher the better; without one it takes no part.
struct EvaluationRecord {
  int64_t step = 0;
  int64_t epoch = 0;
  std::string name;
  std::map<std::string, double> metrics;
  std::optional<double> score = std::nullopt;
  std::string identity = {};  // of the data and options that the score belongs to
  TermValues log = {};        // entries of the epoch's line in log.txt
};

/// Something that went wrong and that the run survived.
///
///   kind  save_failed | skipped | rolled_back | loss_spike | collapse
///   text  what, where and what to do about it, in one line
struct FaultRecord {
  int64_t step = 0;
  int64_t epoch = 0;
  std::string kind;
  std::string text;
};

/// Watches a run; the trainer itself neither prints nor evaluates.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_step(const StepRecord&) {}
  virtual void on_epoch(const EpochRecord&) {}
  virtual void on_evaluation(const EvaluationRecord&) {}
  /// After the epoch's evaluations.
  virtual void on_epoch_end() {}
  /// Of a checkpoint that stands.
  virtual void on_checkpoint(const std::filesystem::path&) {}
  virtual void on_fault(const FaultRecord&) {}
};

}  // namespace ibot::train
