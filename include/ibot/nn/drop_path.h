// Stochastic depth.
#pragma once

#include <torch/types.h>

#include <vector>

#include "ibot/nn/block_context.h"

namespace ibot::nn {

/// What stochastic depth multiplies the residual branch of each sample with: 0 with probability
/// `rate`, else 1 / (1 - rate), so that the mean does not change.
///
///   samples  crops of the context's images, crop-major
///   returns  [samples, 1, 1]   undefined at rate 0
///
/// Source: Huang et al. 2016.
torch::Tensor drop_path_scale(int64_t samples, double rate, const BlockContext& context,
                              torch::Device device);

/// Rates of the blocks of a network: linear from 0 in the first to `last` in the last, in float32
/// as the reference computes them.
std::vector<double> drop_path_rates(double last, int64_t depth);

}  // namespace ibot::nn
