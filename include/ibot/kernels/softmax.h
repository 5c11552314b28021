// Softmax of scaled scores, in their storage where it can be.
#pragma once

#include <torch/types.h>

namespace ibot::kernels {

/// softmax(factor · scores) over the last dimension.
torch::Tensor scaled_softmax(torch::Tensor scores, double factor);

/// factor · weights · (gradient - Σ weights · gradient): the gradient of the scores from that of
/// the weights.
torch::Tensor scaled_softmax_backward(torch::Tensor gradient, const torch::Tensor& weights,
                                      double factor);

}  // namespace ibot::kernels
