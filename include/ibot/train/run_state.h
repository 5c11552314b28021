// Where a run stands: the part of a checkpoint that is not a tensor.
#pragma once

#include <cstdint>
#include <string>

namespace ibot::train {

/// Sums over the steps of the running epoch, for its means.
struct EpochSums {
  int64_t steps = 0;
  double loss = 0.0;
  double loss_cls = 0.0;
  double loss_patch = 0.0;
  double lr = 0.0;
  double weight_decay = 0.0;
  double agreement = 0.0;
};

/// `step` counts finished steps; with the options it determines everything but tensors and sums.
/// `steps_per_epoch` tells whether the data are still as many as they were, `global_batch` whether
/// a step still has as many images, however many ranks share them; 0: not known.
struct RunState {
  int64_t step = 0;
  int64_t steps_per_epoch = 0;
  int64_t global_batch = 0;
  EpochSums sums;

  /// As JSON, doubles exact.
  std::string to_json() const;
  /// Throws CheckpointError on text that to_json did not write.
  static RunState from_json(const std::string& text);
};

}  // namespace ibot::train
