#include "ibot/models/network.h"

#include <torch/nn/modules/conv.h>

#include "ibot/models/architecture.h"
#include "ibot/nn/init.h"

namespace ibot::models {
namespace {

constexpr double kInitialStd = 0.02;

/// Layers are initialized as a whole; other parameters by name.
void initialize_layer_(torch::nn::Module& layer, const at::Generator& generator) {
  if (auto* linear = layer.as<torch::nn::LinearImpl>()) {
    nn::truncated_normal_(linear->weight, kInitialStd, generator);
    if (linear->bias.defined()) linear->bias.zero_();
    // The reference's init leaves convolutions and prototypes to torch's defaults.
  } else if (auto* conv = layer.as<torch::nn::Conv2dImpl>()) {
    const auto fan_in = conv->weight[0].numel();
    nn::fan_in_uniform_(conv->weight, fan_in, generator);
    nn::fan_in_uniform_(conv->bias, fan_in, generator);
  } else if (layer.as<PrototypesImpl>() != nullptr) {
    // weight_g stays 1.
    auto weight = layer.named_parameters(false)["weight_v"];
    nn::fan_in_uniform_(weight, weight.size(1), generator);
  } else {
    for (auto& parameter : layer.named_parameters(false)) {
      const auto* own = own_parameter(parameter.key());
      if (own != nullptr) nn::truncated_normal_(parameter.value(), own->initial_std, generator);
    }
  }
}

}  // namespace

Network::Network(const BackboneOptions& backbone_options, const HeadOptions& head_options,
                 Role role) {
  const bool student = role == Role::kStudent;
  backbone = register_module("backbone", build_backbone(backbone_options, role));
  // The teacher's lengths are never trained; they follow the student's.
  head = register_module("head",
                         ProjectionHead(head_options, backbone->embed_dim(),
                                        student ? head_options.shared : head_options.shared_teacher,
                                        student && !head_options.norm_last_layer));
}

void initialize_(torch::nn::Module& network, at::Generator generator) {
  const torch::NoGradGuard no_grad;
  for (auto& layer : network.modules()) initialize_layer_(*layer, generator);
}

std::vector<std::pair<std::string, torch::Tensor>> named_state(const torch::nn::Module& module) {
  std::vector<std::pair<std::string, torch::Tensor>> state;
  for (const auto& parameter : module.named_parameters()) {
    state.emplace_back(parameter.key(), parameter.value());
  }
  for (const auto& buffer : module.named_buffers())
    state.emplace_back(buffer.key(), buffer.value());
  return state;
}

void copy_values_(const torch::nn::Module& from, torch::nn::Module& to) {
  const torch::NoGradGuard no_grad;
  std::map<std::string, torch::Tensor> source;
  for (const auto& [name, value] : named_state(from)) source.emplace(name, value);
  for (auto& [name, value] : named_state(to)) {
    const auto match = source.find(name);
    // The networks of the two roles differ in a few tensors; only common ones are copied.
    if (match == source.end()) continue;
    IBOT_CHECK_AS(CheckpointError, match->second.sizes() == value.sizes(), name,
                  ": expected shape ", value.sizes(), ", got ", match->second.sizes());
    torch::Tensor(value).copy_(match->second);
  }
}

}  // namespace ibot::models
