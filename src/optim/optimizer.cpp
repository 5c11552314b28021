#include "ibot/optim/optimizer.h"

#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_sub.h>
#include <ATen/ops/_fused_adamw.h>

#include <utility>

#include "ibot/base/error.h"

namespace ibot::optim {
namespace {

constexpr double kBeta1 = 0.9;
constexpr double kBeta2 = 0.999;
constexpr double kEps = 1e-8;
constexpr double kMomentum = 0.9;
constexpr double kTrust = 0.001;

std::vector<torch::Tensor> select(const std::vector<torch::Tensor>& all,
                                  const std::vector<size_t>& indices) {
  std::vector<torch::Tensor> chosen;
  chosen.reserve(indices.size());
  for (const size_t index : indices) chosen.push_back(all[index]);
  return chosen;
}

}  // namespace

Optimizer::Optimizer(OptimizerKind kind, std::vector<Parameter> parameters)
    : kind_(kind), parameters_(std::move(parameters)) {
  for (const auto& parameter : parameters_) {
    const auto& tensor = parameter.tensor;
    first_.push_back(torch::zeros_like(tensor, torch::MemoryFormat::Contiguous));
    if (kind_ == OptimizerKind::kAdamW) {
      second_.push_back(torch::zeros_like(tensor, torch::MemoryFormat::Contiguous));
    }
    steps_.push_back(torch::zeros({}, tensor.options().dtype(torch::kFloat)));
  }
}

void Optimizer::step(const StepValues& values, const std::optional<Overflow>& overflow) {
  const torch::NoGradGuard no_grad;
  const auto active = active_parameters(parameters_, values.freeze_last_layer);
  if (kind_ == OptimizerKind::kAdamW) {
    adamw_(active, values, overflow);
    return;
  }
  if (overflow && overflow->found.item<float>() > 0) return;
  at::_foreach_add_(select(steps_, active), 1);
  kind_ == OptimizerKind::kSgd ? sgd_(active, values) : lars_(active, values);
}

void Optimizer::adamw_(const std::vector<size_t>& active, const StepValues& values,
                       const std::optional<Overflow>& overflow) {
  // One fused call for each learning rate and decay.
  std::map<std::pair<double, bool>, std::vector<size_t>> groups;
  for (const size_t i : active) {
    groups[{parameters_[i].lr_scale, parameters_[i].decays}].push_back(i);
  }
  for (const auto& [kind, group] : groups) {
    const auto [lr_scale, decays] = kind;
    std::vector<torch::Tensor> tensors, gradients;
    for (const size_t i : group) {
      tensors.push_back(parameters_[i].tensor);
      gradients.push_back(parameters_[i].tensor.grad());
    }
    const auto steps = select(steps_, group);
    at::_foreach_add_(steps, 1);
    at::_fused_adamw_(tensors, gradients, select(first_, group), select(second_, group), {}, steps,
                      values.lr * lr_scale, kBeta1, kBeta2, decays ? values.weight_decay : 0.0,
                      kEps,
                      /*amsgrad=*/false, /*maximize=*/false, /*grad_scale=*/std::nullopt,
                      overflow ? std::optional(overflow->found) : std::nullopt);
    if (overflow) at::_foreach_sub_(steps, std::vector(steps.size(), overflow->found));
  }
}

void Optimizer::sgd_(const std::vector<size_t>& active, const StepValues& values) {
  for (const size_t i : active) {
    auto& parameter = parameters_[i];
    auto direction = parameter.tensor.grad();
    if (parameter.decays) direction = direction.add(parameter.tensor, values.weight_decay);
    first_[i].mul_(kMomentum).add_(direction);
    parameter.tensor.sub_(first_[i], values.lr * parameter.lr_scale);
  }
}

void Optimizer::lars_(const std::vector<size_t>& active, const StepValues& values) {
  for (const size_t i : active) {
    auto& tensor = parameters_[i].tensor;
    auto direction = tensor.grad();
    if (tensor.dim() != 1) {
      if (parameters_[i].decays) direction = direction.add(tensor, values.weight_decay);
      const auto weight_norm = tensor.norm();
      const auto direction_norm = direction.norm();
      const auto trust = torch::where((weight_norm > 0).logical_and(direction_norm > 0),
                                      kTrust * weight_norm / direction_norm, 1.0);
      direction = direction * trust;
    }
    first_[i].mul_(kMomentum).add_(direction);
    tensor.sub_(first_[i], values.lr * parameters_[i].lr_scale);
  }
}

std::map<std::string, torch::Tensor> Optimizer::state() const {
  std::map<std::string, torch::Tensor> state;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const auto& name = parameters_[i].name;
    state["step." + name] = steps_[i];
    if (kind_ == OptimizerKind::kAdamW) {
      state["exp_avg." + name] = first_[i];
      state["exp_avg_sq." + name] = second_[i];
    } else {
      state["momentum." + name] = first_[i];
    }
  }
  return state;
}

void Optimizer::load_state(const std::map<std::string, torch::Tensor>& state) {
  const torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : this->state()) {
    const auto match = state.find(name);
    IBOT_CHECK_AS(CheckpointError, match != state.end(), "optimizer: missing ", name);
    IBOT_CHECK_AS(CheckpointError, match->second.sizes() == tensor.sizes(), "optimizer: ", name,
                  ": expected shape ", tensor.sizes(), ", got ", match->second.sizes());
    torch::Tensor(tensor).copy_(match->second);
  }
}

}  // namespace ibot::optim
