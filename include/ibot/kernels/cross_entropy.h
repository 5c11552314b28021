// Cross-entropy of a student's scores with a teacher's, centered and sharpened.
#pragma once

#include <torch/types.h>

namespace ibot::kernels {

/// Targets softmax((logits - center) / temperature), never stored.
///
///   logits  [R, K]
///   center  [K] float32; zeros: none
struct CenteredTeacher {
  torch::Tensor logits;
  torch::Tensor center;
  double temperature = 1.0;
};

/// Whether there is own code for scores on this device; the loss computes targets a few rows at a
/// time where there is none.
bool owns_centered_cross_entropy(const torch::Tensor& logits, const CenteredTeacher& teacher);

/// -Σ_k target_k · log softmax(logits / temperature)_k of each row, in float32.
///
///   logits   [R, K]  in the teacher's type
///   sums     [R, 4]  float32, filled for the backward pass
///   returns  [R]
torch::Tensor centered_cross_entropy(const torch::Tensor& logits, const CenteredTeacher& teacher,
                                     double temperature, torch::Tensor sums);

/// The gradient of the logits, [R, K] in their type, from that of the rows, [R] float32.
torch::Tensor centered_cross_entropy_backward(const torch::Tensor& logits,
                                              const CenteredTeacher& teacher, double temperature,
                                              const torch::Tensor& sums,
                                              const torch::Tensor& gradient);

}  // namespace ibot::kernels
