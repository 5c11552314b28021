// Classification against probabilities.
#pragma once

#include <torch/types.h>

namespace ibot::loss {

/// Mean cross-entropy, in float32. With the smoothed targets of batch::smooth_targets it is the
/// label-smoothing loss (1 - s) · (-log p_y) + s · mean_c(-log p_c).
///
///   logits   [B, C]
///   targets  [B, C]   probabilities
///   returns  scalar
torch::Tensor soft_target_loss(const torch::Tensor& logits, const torch::Tensor& targets);

}  // namespace ibot::loss
