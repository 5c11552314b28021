// Activations that are computed twice instead of kept.
#pragma once

#include <torch/types.h>

#include <functional>
#include <vector>

namespace ibot::nn {

/// function(input), of which the backward pass keeps `input` alone and computes the rest again.
///
///   function    draws no random numbers and gives the same bits each time
///   parameters  everything else that it differentiates by
///
/// Source: Chen et al. 2016, "Training deep nets with sublinear memory cost".
torch::Tensor recomputed(const std::function<torch::Tensor(const torch::Tensor&)>& function,
                         const torch::Tensor& input, const std::vector<torch::Tensor>& parameters);

}  // namespace ibot::nn
