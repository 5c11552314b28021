// What a run tells those who watch it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "ibot/metrics/cluster_metrics.h"

namespace ibot::train {

/// The steps since the last record: means of losses and gradient norm, schedule values of the last
/// step. `step` counts finished steps.
struct StepRecord {
  int64_t step = 0;
  int64_t epoch = 0;
  double loss = 0.0;
  double loss_cls = 0.0;
  double loss_patch = 0.0;
  double lr = 0.0;
  double weight_decay = 0.0;
  double momentum = 0.0;
  double grad_norm = 0.0;
  double images_per_s = 0.0;
  double data_wait = 0.0;  // share of the time spent waiting for data
  int64_t memory_bytes = 0;
};

/// Means over all steps of a finished epoch, and how the teacher's prototypes agree with the
/// labels.
struct EpochRecord {
  int64_t step = 0;
  int64_t epoch = 0;
  double loss = 0.0;
  double loss_cls = 0.0;
  double loss_patch = 0.0;
  double lr = 0.0;
  double weight_decay = 0.0;
  double agreement = 0.0;
  metrics::ClusterMetrics clusters;
};

/// An evaluation in the middle of a run; accuracies in percent.
struct EvaluationRecord {
  int64_t step = 0;
  int64_t epoch = 0;
  std::string name;
  std::map<std::string, double> metrics;
};

/// Watches a run; the trainer itself neither prints nor evaluates.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_step(const StepRecord&) {}
  virtual void on_epoch(const EpochRecord&) {}
  virtual void on_evaluation(const EvaluationRecord&) {}
  virtual void on_checkpoint(const std::filesystem::path&) {}
};

}  // namespace ibot::train
