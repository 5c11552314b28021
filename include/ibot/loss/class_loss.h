// The class-token term: agreement across views.
#pragma once

#include <torch/types.h>

namespace ibot::loss {

/// Mean cross-entropy over all pairs of a teacher's global view and another view of the student.
///
///   student   [V·B, K]   raw scores of all views, crop-major, global views first
///   teacher   [G·B, K]   target probabilities of the global views
///   returns   scalar     (1 / n) Σ_q Σ_{v≠q} mean_b CE(teacher_q, student_v), n = G·(V - 1)
///
/// Source: paper eq. 1 (DINO term); reference `main_ibot.py` (iBOTLoss).
torch::Tensor class_loss(const torch::Tensor& student, const torch::Tensor& teacher,
                         int64_t global_views, double student_temp);

}  // namespace ibot::loss
