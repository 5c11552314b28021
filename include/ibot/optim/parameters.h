// The trained parameters, with what the optimizer must know of each.
#pragma once

#include <torch/nn/module.h>

#include <string>
#include <vector>

namespace ibot::optim {

/// One trained tensor.
struct Parameter {
  std::string name;
  torch::Tensor tensor;
  bool decays = true;
  bool last_layer = false;
  double lr_scale = 1.0;
};

/// The parameters of `module` that require gradients, in its order. Names ending in `.bias` and 1-D
/// tensors do not decay; names with `last_layer` can be frozen.
///
/// Source: reference `utils.py` (get_params_groups, cancel_gradients_last_layer).
std::vector<Parameter> trained_parameters(const torch::nn::Module& module);

/// Those of `parameters` that have a gradient and are not frozen.
std::vector<size_t> active_parameters(const std::vector<Parameter>& parameters, bool freeze_last);

/// Scales each gradient whose L2 norm exceeds `limit` down to it (0: no limit) and returns the norm
/// of all gradients before that, on their device. Each tensor for itself, not a global norm.
///
/// Source: reference `utils.py` (clip_gradients).
torch::Tensor clip_gradients_(const std::vector<Parameter>& parameters, double limit);

/// Scales all gradients by one factor so that the L2 norm of all together is at most `limit` (0: no
/// limit) and returns the norm before that, on their device.
///
/// Source: torch `clip_grad_norm_`.
torch::Tensor clip_global_norm_(const std::vector<Parameter>& parameters, double limit);

/// The gradients that there are.
std::vector<torch::Tensor> gradients_of(const std::vector<Parameter>& parameters);

}  // namespace ibot::optim
