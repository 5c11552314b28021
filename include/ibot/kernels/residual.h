// A scaled branch added to the residual stream.
#pragma once

#include <torch/types.h>

namespace ibot::kernels {

/// What a branch is multiplied by; undefined: 1.
///
///   row      [R, 1]  stochastic depth
///   channel  [D]     layer scale
struct RowScale {
  torch::Tensor row;
  torch::Tensor channel;
};

/// output = tokens + row · channel · branch, all [R, D]. `branch` may be overwritten.
void add_scaled_(torch::Tensor output, const torch::Tensor& tokens, torch::Tensor branch,
                 const RowScale& scale);

///   rounded  [R, D]  gradient · row in the products' type
///   scaled   [R, D]  gradient · row · channel in that type; `rounded` without layer scale
///   sums     [D]     Σ gradient · row over the rows, float32
struct BranchGradient {
  torch::Tensor rounded;
  torch::Tensor scaled;
  torch::Tensor sums;
};

/// From the gradient of the sum, [R, D].
BranchGradient add_scaled_backward(const torch::Tensor& gradient, const RowScale& scale,
                                   torch::ScalarType dtype);

}  // namespace ibot::kernels
