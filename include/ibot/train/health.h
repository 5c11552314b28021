// Whether the teacher still tells images apart.
#pragma once

#include <torch/types.h>

#include <optional>
#include <string>

#include "ibot/dist/group.h"
#include "ibot/loss/ibot_loss.h"
#include "ibot/train/observer.h"

namespace ibot::train {

/// What a HealthRecord is made of, still on the device.
///
///   scalars   [5]      the record's fields but for the last
///   features  [n, D]   class tokens of at most 128 images
struct HealthSample {
  torch::Tensor scalars;
  torch::Tensor features;
};

/// Of a step of `images` images.
///
///   class_token   [G·B, D]    the teacher's
///   center        [1, K]
///   patch_center  [1, 1, K']
HealthSample sample_health(const loss::Targets& targets, const torch::Tensor& class_token,
                           const torch::Tensor& center, const torch::Tensor& patch_center,
                           int64_t images);

/// Means over the ranks of `group`. Waits for the device.
HealthRecord read_health(const HealthSample& sample, const dist::Group& group = {});

/// exp of the entropy of the normalised singular values: 1 when all rows are alike but for their
/// length, at most the number of rows or columns; 0 when a value is not finite.
///
///   features  [n, D]
///
/// Source: Garrido et al. 2023 (RankMe), eq. 1.
double effective_rank(const torch::Tensor& features);

/// Tells of a collapse: class targets that are the same for every image, uniform or not, or class
/// tokens of one direction. One sample may look like that, several in a row do not by chance;
/// before the learning rate has risen it is no wonder, and fewer than eight images cannot tell.
class HealthWatch {
 public:
  /// Steps before `first_step` are not judged.
  HealthWatch(int64_t first_step, int64_t images) : first_step_(first_step), images_(images) {}

  /// A warning at the sample that makes it certain, and after every recovery anew.
  std::optional<std::string> judge(int64_t step, const HealthRecord& health);

 private:
  int64_t first_step_;
  int64_t images_;
  int64_t in_a_row_ = 0;
};

/// Tells of a loss that lies far above its course: of each such interval, and whether it lasts.
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
