// Collapse and spike detection.
#pragma once

#include <torch/types.h>

#include <optional>
#include <string>

#include "ibot/dist/group.h"
#include "ibot/loss/ibot_loss.h"
#include "ibot/train/observer.h"

namespace ibot::train {

/// The raw values of a HealthRecord, still on the device.
///
///   scalars   [5]      the record's fields except the last
///   features  [n, D]   class tokens of at most 128 images
struct HealthSample {
  torch::Tensor scalars;
  torch::Tensor features;
};

/// Samples a step of `images` images.
///
///   class_token   [G·B, D]    the teacher's
///   center        [1, K]
///   patch_center  [1, 1, K']
HealthSample sample_health(const loss::Targets& targets, const torch::Tensor& class_token,
                           const torch::Tensor& center, const torch::Tensor& patch_center,
                           int64_t images);

/// Means over the ranks of `group`. Synchronizes with the device.
HealthRecord read_health(const HealthSample& sample, const dist::Group& group = {});

/// exp of the entropy of the normalized singular values: 1 if all rows are parallel, at most the
/// number of rows or columns; 0 if a value is not finite.
///
///   features  [n, D]
///
/// Source: Garrido et al. 2023 (RankMe), eq. 1.
double effective_rank(const torch::Tensor& features);

/// Detects collapse: class targets that are the same for every image, uniform or not, or class
/// tokens of a single direction. Several consecutive samples are required. Not judged during
/// warm-up or with fewer than eight images.
class HealthWatch {
 public:
  /// Steps before `first_step` are not judged.
  HealthWatch(int64_t first_step, int64_t images) : first_step_(first_step), images_(images) {}

  /// A warning at the decisive sample; again after every recovery.
  std::optional<std::string> judge(int64_t step, const HealthRecord& health);

 private:
  int64_t first_step_;
  int64_t images_;
  int64_t in_a_row_ = 0;
};

/// Detects a loss far above its running mean: each such interval, and whether the spike lasts.
class SpikeWatch {
 public:
  struct Verdict {
    std::string text;
    bool lasts = false;
  };
  /// `z` as in StepRecord::loss_z.
  std::optional<Verdict> judge(double z);

 private:
  int64_t in_a_row_ = 0;
};

}  // namespace ibot::train
