// Stochastic depth.
#pragma once

#include <ATen/core/Generator.h>
#include <torch/types.h>

#include <optional>
#include <vector>

namespace ibot::nn {

/// Drops a residual branch for each sample with probability `rate` and divides what is kept by
/// 1 - rate, so that the mean does not change.
///
///   branch   [B, ...]
///   returns  [B, ...]
///
/// Source: Huang et al. 2016.
torch::Tensor drop_path(const torch::Tensor& branch, double rate,
                        const std::optional<at::Generator>& generator);

/// Rates of the blocks of a network: linear from 0 in the first to `last` in the last, in float32
/// as the reference computes them.
std::vector<double> drop_path_rates(double last, int64_t depth);

}  // namespace ibot::nn
