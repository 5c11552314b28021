// LayerNorm as every backbone uses it.
#pragma once

#include <torch/nn/modules/normalization.h>

namespace ibot::nn {

/// Epsilon of every LayerNorm in a backbone.
inline constexpr double kLayerNormEps = 1e-6;

/// LayerNorm over the last dimension, with the backbones' epsilon.
inline torch::nn::LayerNorm layer_norm(int64_t width) {
  return torch::nn::LayerNorm(torch::nn::LayerNormOptions({width}).eps(kLayerNormEps));
}

}  // namespace ibot::nn
