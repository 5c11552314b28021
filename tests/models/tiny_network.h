// A small network with values of its own, and its tensors.
#pragma once

#include <ATen/CPUGeneratorImpl.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "ibot/base/error.h"
#include "ibot/models/network.h"
#include "ibot/models/weights.h"

namespace ibot::models {

using Tensors = std::map<std::string, torch::Tensor>;

inline BackboneOptions tiny_backbone() {
  return {.arch = "vit_small",
          .patch_size = 4,
          .image_size = 16,
          .embed_dim = 128,
          .depth = {2},
          .heads = {2},
          .mlp_ratio = 2.5,
          .layer_scale = 0.5};
}

inline HeadOptions tiny_head() {
  return {.prototypes = 6,
          .patch_prototypes = 5,
          .shared = false,
          .shared_teacher = false,
          .hidden_dim = 7,
          .bottleneck_dim = 3};
}

inline std::shared_ptr<Network> drawn_network(uint64_t seed, Role role = Role::kStudent) {
  auto network = std::make_shared<Network>(tiny_backbone(), tiny_head(), role);
  initialize_(*network, at::detail::createCPUGenerator(seed));
  return network;
}

inline Tensors state_of(const torch::nn::Module& module, const std::string& prefix = "") {
  Tensors state;
  for (const auto& [name, tensor] : named_state(module)) state[prefix + name] = tensor.detach();
  return state;
}

inline std::string refusal(const std::function<void()>& attempt) {
  try {
    attempt();
  } catch (const CheckpointError& error) {
    return error.what();
  }
  return {};
}

}  // namespace ibot::models
