// Moving centers of the teacher's scores.
#pragma once

#include <torch/types.h>

namespace ibot::loss {

/// center ← momentum · center + (1 - momentum) · mean, left alone where the mean is not finite: one
/// overflowed step would otherwise spoil it for ever.
///
///   center  [..., K]   float32
///   mean    [K]        of the raw scores
///
/// Source: paper section 3.1; reference `main_ibot.py` (update_center).
void update_center_(torch::Tensor center, const torch::Tensor& mean, double momentum);

/// Centred and sharpened target distribution: softmax((logits - center) / temperature), float32.
///
///   logits  [R, K]
torch::Tensor teacher_probabilities(const torch::Tensor& logits, const torch::Tensor& center,
                                    double temperature);

}  // namespace ibot::loss
