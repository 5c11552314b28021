// The training step that is timed and profiled.
#pragma once

#include <torch/types.h>

#include "ibot/batch/synthetic_source.h"
#include "ibot/config/run_config.h"
#include "ibot/train/step.h"

namespace ibot::apps {

/// Random images and masks, as the configuration has them: the same ones every time.
batch::SyntheticSource synthetic_batches(const config::RunConfig& config);

/// A training step with a synthetic batch that lies on the device, ready.
class StepSubject {
 public:
  StepSubject(const config::RunConfig& config, torch::Device device);

  /// One step of a run in its middle: nothing is frozen, nothing is zero.
  void run();

  train::TrainStep& step() { return step_; }
  const batch::MultiCropBatch& batch() const { return batch_; }
  double images() const { return static_cast<double>(config_.train.batch_size); }

 private:
  config::RunConfig config_;
  train::TrainStep step_;
  batch::MultiCropBatch batch_;
};

}  // namespace ibot::apps
