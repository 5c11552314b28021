#include "ibot/optim/layer_decay.h"

#include <cmath>

#include "ibot/models/architecture.h"

namespace ibot::optim {

std::vector<Parameter> layer_decayed_parameters(const torch::nn::Module& module,
                                                const models::BackboneOptions& backbone,
                                                double decay, bool decay_tokens,
                                                bool decay_tables) {
  auto parameters = trained_parameters(module);
  // Layer 0 is the embedding, layer i + 1 block i, and depth + 1 the final norm and the head.
  const auto last = models::architecture_of(backbone.arch).blocks(backbone) + 1;
  for (auto& parameter : parameters) {
    const auto above = last - models::layer_of(backbone, parameter.name);
    parameter.lr_scale = std::pow(decay, static_cast<double>(above));
    // Null unless a network declares the parameter itself: tokens, positions, bias tables.
    const auto* own = models::own_parameter(parameter.name);
    if (own == nullptr) continue;
    if (own->is_token && !decay_tokens) parameter.decays = false;
    if (own->is_bias_table && !decay_tables) parameter.decays = false;
  }
  return parameters;
}

std::vector<Parameter> dense_parameters(const torch::nn::Module& module,
                                        const models::BackboneOptions& backbone, double decay) {
  auto parameters = layer_decayed_parameters(module, backbone, decay, /*decay_tokens=*/true);
  if (!models::architecture_of(backbone.arch).hierarchical) return parameters;
  for (auto& parameter : parameters) {
    const auto holds = [&](const char* part) {
      return parameter.name.find(part) != std::string::npos;
    };
    // Replaces the rule of trained_parameters: on Swin biases decay, as mmcv's paramwise_cfg has
    // it.
    parameter.decays = !holds("norm") && !holds("relative_position_bias_table");
  }
  return parameters;
}

std::vector<Parameter> decayed_alike(std::vector<Parameter> parameters) {
  for (auto& parameter : parameters) parameter.decays = true;
  return parameters;
}

}  // namespace ibot::optim
