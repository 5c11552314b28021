// The patch-token term: masked patches within a view.
#pragma once

#include <torch/types.h>

namespace ibot::loss {

/// Mean over views and images of each image's mean cross-entropy over its masked patches; an image
/// without masked patches contributes zero and still counts.
///
///   student   [M, K']   raw scores at the masked patches
///   teacher   [M, K']   target probabilities there
///   weight    [M]       1 / (number of masked patches of that view)
///   views     number of views, G·B
///   returns   scalar    (1 / views) Σ_m weight_m CE(teacher_m, student_m); 0 when M = 0
///
/// Source: paper eq. 2; reference `main_ibot.py` (iBOTLoss).
torch::Tensor patch_loss(const torch::Tensor& student, const torch::Tensor& teacher,
                         const torch::Tensor& weight, int64_t views, double student_temp);

}  // namespace ibot::loss
