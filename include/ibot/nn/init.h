// Initial values of parameters, from a given generator.
#pragma once

#include <ATen/core/Generator.h>
#include <torch/types.h>

namespace ibot::nn {

/// Fills with normal draws of deviation `std`, cut at +-2: at the usual 0.02 that is 100
/// deviations. Source: reference `utils.py` (trunc_normal_).
void truncated_normal_(torch::Tensor tensor, double std, at::Generator generator);

/// Fills with uniform draws in +-1/sqrt(fan_in): the framework's default for linear layers and
/// convolutions, their biases included.
void fan_in_uniform_(torch::Tensor tensor, int64_t fan_in, at::Generator generator);

}  // namespace ibot::nn
