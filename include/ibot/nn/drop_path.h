// Stochastic depth.
#pragma once

#include <ATen/core/Generator.h>
#include <torch/types.h>

#include <optional>
#include <vector>

namespace ibot::nn {

/// What stochastic depth multiplies the residual branch of each sample with: 0 with probability
/// `rate`, else 1 / (1 - rate), so that the mean does not change.
///
///   returns  [samples]
///
/// Source: Huang et al. 2016.
torch::Tensor drop_path_scale(int64_t samples, double rate,
                              const std::optional<at::Generator>& generator,
                              const torch::TensorOptions& options);

/// Rates of the blocks of a network: linear from 0 in the first to `last` in the last, in float32
/// as the reference computes them.
std::vector<double> drop_path_rates(double last, int64_t depth);

}  // namespace ibot::nn
