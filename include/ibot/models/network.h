// Backbone and projection head, the network that is trained.
#pragma once

#include <torch/nn/module.h>

#include <memory>

#include "ibot/models/backbone.h"
#include "ibot/models/projection_head.h"

namespace ibot::models {

/// Parameters are named `backbone.…` and `head.…`, as in the reference.
struct Network : torch::nn::Module {
  Network(const BackboneOptions& backbone_options, const HeadOptions& head_options, Role role);

  std::shared_ptr<Backbone> backbone;
  ProjectionHead head{nullptr};
};

/// Draws all initial values: linear weights from a truncated normal of standard deviation 0.02,
/// biases 0, LayerNorm 1 and 0, class token and positions as linear weights, mask token 0, patch
/// convolution and prototypes uniform in ±1/sqrt(fan_in).
///
/// Source: reference `vision_transformer.py`, `head.py` (_init_weights).
void initialize_(torch::nn::Module& network, at::Generator generator);

/// Copies values between parameters and buffers of equal name; other names are left alone. Throws
/// CheckpointError if shapes differ.
void copy_values_(const torch::nn::Module& from, torch::nn::Module& to);

/// Parameters, then buffers, by name.
std::vector<std::pair<std::string, torch::Tensor>> named_state(const torch::nn::Module& module);

}  // namespace ibot::models
