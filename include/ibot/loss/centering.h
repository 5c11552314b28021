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

/// Centered and sharpened target distribution: softmax((logits - center) / temperature), float32.
///
///   logits  [R, K]
torch::Tensor teacher_probabilities(const torch::Tensor& logits, const torch::Tensor& center,
                                    double temperature);

/// Target distribution that is sharpened only: softmax(logits / temperature), float32.
///
/// Source: paper appendix E, table 18 ("only sharpening").
torch::Tensor sharpened_probabilities(const torch::Tensor& logits, double temperature);

/// One-hot target at the most likely prototype of the centered distribution, the first of several;
/// no temperature changes it.
///
///   logits   [R, K]
///   returns  [R, K]   float32
///
/// Source: paper appendix E, table 18 (hard labels), whose entry does not say whether scores are
/// centered: they are, so that the labels alone differ from the default.
torch::Tensor most_likely(const torch::Tensor& logits, const torch::Tensor& center);

}  // namespace ibot::loss
