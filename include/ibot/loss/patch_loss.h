// The patch-token term: patches that learn from patches.
#pragma once

#include "ibot/loss/cross_entropy.h"

namespace ibot::loss {

/// Mean over views of each view's mean cross-entropy over its patches that learn, by default the
/// masked ones; a view without any contributes zero and still counts.
///
///   student   [M, K']   raw scores at the patches that learn
///   teacher   [M, K']   target probabilities of what each learns from
///   weight    [M]       1 / (number of such patches of that view)
///   views     number of views of all images: G·B where the global ones are masked
///   returns   scalar    (1 / views) Σ_m weight_m CE(teacher_m, student_m); 0 when M = 0
///
/// Source: paper eq. 2; reference `main_ibot.py` (iBOTLoss).
torch::Tensor patch_loss(const torch::Tensor& student, const TargetRows& teacher,
                         const torch::Tensor& weight, int64_t views, double student_temp);

}  // namespace ibot::loss
