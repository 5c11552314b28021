#include "ibot/optim/parameters.h"

#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>

namespace ibot::optim {
namespace {

bool ends_in_bias(const std::string& name) {
  constexpr std::string_view kBias = ".bias";
  return name.size() >= kBias.size() &&
         name.compare(name.size() - kBias.size(), kBias.size(), kBias) == 0;
}

}  // namespace

std::vector<Parameter> trained_parameters(const torch::nn::Module& module) {
  std::vector<Parameter> parameters;
  for (const auto& entry : module.named_parameters()) {
    if (!entry.value().requires_grad()) continue;
    parameters.push_back({.name = entry.key(),
                          .tensor = entry.value(),
                          .decays = !ends_in_bias(entry.key()) && entry.value().dim() != 1,
                          .last_layer = entry.key().find("last_layer") != std::string::npos});
  }
  return parameters;
}

std::vector<size_t> active_parameters(const std::vector<Parameter>& parameters, bool freeze_last) {
  std::vector<size_t> active;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const bool frozen = freeze_last && parameters[i].last_layer;
    // A frozen or unused tensor is skipped, not given a zero gradient: AdamW would decay it.
    if (!frozen && parameters[i].tensor.grad().defined()) active.push_back(i);
  }
  return active;
}

std::vector<torch::Tensor> gradients_of(const std::vector<Parameter>& parameters) {
  std::vector<torch::Tensor> gradients;
  for (const auto& parameter : parameters) {
    if (parameter.tensor.grad().defined()) gradients.push_back(parameter.tensor.grad());
  }
  return gradients;
}

torch::Tensor clip_gradients_(const std::vector<Parameter>& parameters, double limit) {
  const torch::NoGradGuard no_grad;
  const auto gradients = gradients_of(parameters);
  if (gradients.empty()) return torch::zeros({});
  const auto norms = torch::stack(at::_foreach_norm(gradients, 2.0));  // [tensors]
  if (limit > 0) {
    // One factor for each tensor, with the reference's 1e-6.
    const auto factors = (limit / (norms + 1e-6)).clamp_max(1.0);
    at::_foreach_mul_(gradients, factors.unbind());
  }
  return norms.norm();
}

torch::Tensor clip_global_norm_(const std::vector<Parameter>& parameters, double limit) {
  const torch::NoGradGuard no_grad;
  const auto gradients = gradients_of(parameters);
  if (gradients.empty()) return torch::zeros({});
  const auto norm = torch::stack(at::_foreach_norm(gradients, 2.0)).norm();
  // The same 1e-6 as in torch.
  if (limit > 0) at::_foreach_mul_(gradients, (limit / (norm + 1e-6)).clamp_max(1.0));
  return norm;
}

}  // namespace ibot::optim
