#include "ibot/optim/optimizer.h"

#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_sub.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "ibot/base/error.h"

namespace ibot::optim {
namespace {

// η of LARS, as in the reference.
constexpr double kTrust = 0.001;

std::vector<torch::Tensor> select(const std::vector<torch::Tensor>& all,
                                  const std::vector<size_t>& indices) {
  std::vector<torch::Tensor> chosen;
  chosen.reserve(indices.size());
  for (const size_t index : indices) chosen.push_back(all[index]);
  return chosen;
}

using FusedStep = void(at::TensorList, at::TensorList, at::TensorList, at::TensorList,
                       at::TensorList, at::TensorList, double, double, double, double, double, bool,
                       bool, const std::optional<at::Tensor>&, const std::optional<at::Tensor>&);

/// Of AdamW decay is a factor of the parameter, of Adam a part of its gradient.
FusedStep* fused_step(OptimizerKind kind) {
  if (kind == OptimizerKind::kAdam) return at::_fused_adam_;
  return at::_fused_adamw_;
}

/// A rank for each tensor: the largest first, each to the rank that has least.
std::vector<int64_t> share_out(const std::vector<Parameter>& parameters, int64_t ranks) {
  std::vector<size_t> order(parameters.size());
  std::iota(order.begin(), order.end(), size_t{0});
  // Stable: every rank has to arrive at the same owners.
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return parameters[a].tensor.numel() > parameters[b].tensor.numel();
  });
  std::vector<int64_t> load(static_cast<size_t>(ranks), 0), owners(parameters.size());
  for (const size_t index : order) {
    const auto least = std::min_element(load.begin(), load.end());
    *least += parameters[index].tensor.numel();
    owners[index] = least - load.begin();
  }
  return owners;
}

}  // namespace

Optimizer::Optimizer(OptimizerKind kind, std::vector<Parameter> parameters, dist::Group shards,
                     const OptimizerConstants& constants)
    : kind_(kind),
      constants_(constants),
      parameters_(std::move(parameters)),
      shards_(std::move(shards)),
      owners_(share_out(parameters_, shards_.size())),
      first_(parameters_.size()),
      second_(parameters_.size()),
      steps_(parameters_.size()) {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!owns(i)) continue;
    const auto& tensor = parameters_[i].tensor;
    first_[i] = torch::zeros_like(tensor, torch::MemoryFormat::Contiguous);
    if (has_second_moments()) {
      second_[i] = torch::zeros_like(tensor, torch::MemoryFormat::Contiguous);
    }
    steps_[i] = torch::zeros({}, tensor.options().dtype(torch::kFloat));
  }
}

void Optimizer::step(const StepValues& values, const std::optional<Overflow>& overflow) {
  const torch::NoGradGuard no_grad;
  auto active = active_parameters(parameters_, values.freeze_last_layer);
  // exchange_ is collective: a rank that has nothing to update still takes part in it.
  std::erase_if(active, [this](size_t index) { return !owns(index); });
  if (!active.empty()) update_(active, values, overflow);
  exchange_();
}

void Optimizer::update_(const std::vector<size_t>& active, const StepValues& values,
                        const std::optional<Overflow>& overflow) {
  if (has_second_moments()) return adam_(active, values, overflow);
  overflow ? guarded_(active, values, *overflow) : unguarded_(active, values);
}

void Optimizer::exchange_() {
  if (shards_.size() == 1) return;
  for (int64_t owner = 0; owner < shards_.size(); ++owner) {
    std::vector<torch::Tensor> tensors, parts;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      if (owners_[i] == owner) tensors.push_back(parameters_[i].tensor);
    }
    if (tensors.empty()) continue;
    for (const auto& tensor : tensors) parts.push_back(tensor.flatten());
    // One broadcast for each owner rather than one for each tensor.
    const auto flat = torch::cat(parts);
    shards_.broadcast_(flat, owner);
    if (owner == shards_.rank()) continue;
    int64_t first = 0;
    for (auto& tensor : tensors) {
      tensor.copy_(flat.narrow(0, first, tensor.numel()).view(tensor.sizes()));
      first += tensor.numel();
    }
  }
}

void Optimizer::guarded_(const std::vector<size_t>& active, const StepValues& values,
                         const Overflow& overflow) {
  // SGD and LARS have no fused kernel that looks at `found`: everything they change is kept.
  std::vector<torch::Tensor> changing = select(steps_, active), before;
  for (const size_t i : active) {
    changing.push_back(parameters_[i].tensor);
    changing.push_back(first_[i]);
  }
  for (const auto& tensor : changing) before.push_back(tensor.clone());
  unguarded_(active, values);
  // Taken back on the device: the host need not know.
  const auto taken_back = overflow.found > 0;
  for (size_t i = 0; i < changing.size(); ++i) {
    changing[i].copy_(torch::where(taken_back, before[i], changing[i]));
  }
}

void Optimizer::unguarded_(const std::vector<size_t>& active, const StepValues& values) {
  at::_foreach_add_(select(steps_, active), 1);
  kind_ == OptimizerKind::kLars ? lars_(active, values) : sgd_(active, values);
}

void Optimizer::adam_(const std::vector<size_t>& active, const StepValues& values,
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
    // The kernel corrects the bias of the moments by the count after this step.
    const auto steps = select(steps_, group);
    at::_foreach_add_(steps, 1);
    fused_step(kind_)(tensors, gradients, select(first_, group), select(second_, group), {}, steps,
                      values.lr * lr_scale, constants_.betas[0], constants_.betas[1],
                      decays ? values.weight_decay : 0.0, constants_.eps,
                      /*amsgrad=*/false, /*maximize=*/false, /*grad_scale=*/std::nullopt,
                      overflow ? std::optional(overflow->found) : std::nullopt);
    // The kernel skips a step with an overflow; its count must not stay.
    if (overflow) at::_foreach_sub_(steps, std::vector(steps.size(), overflow->found));
  }
}

void Optimizer::sgd_(const std::vector<size_t>& active, const StepValues& values) {
  for (const size_t i : active) {
    auto& parameter = parameters_[i];
    auto direction = parameter.tensor.grad();
    if (parameter.decays) direction = direction.add(parameter.tensor, values.weight_decay);
    // Moments start at 0, so that the first step's buffer is the direction itself, as in torch.
    first_[i].mul_(constants_.momentum).add_(direction);
    const bool looks_ahead = kind_ == OptimizerKind::kNesterov;
    direction = looks_ahead ? direction.add(first_[i], constants_.momentum) : first_[i];
    parameter.tensor.sub_(direction, values.lr * parameter.lr_scale);
  }
}

void Optimizer::lars_(const std::vector<size_t>& active, const StepValues& values) {
  for (const size_t i : active) {
    auto& tensor = parameters_[i].tensor;
    auto direction = tensor.grad();
    // The reference's rule: 1-D tensors have neither decay nor trust ratio. The norm of the
    // direction includes the decay.
    if (tensor.dim() != 1) {
      if (parameters_[i].decays) direction = direction.add(tensor, values.weight_decay);
      const auto weight_norm = tensor.norm();
      const auto direction_norm = direction.norm();
      const auto trust = torch::where((weight_norm > 0).logical_and(direction_norm > 0),
                                      kTrust * weight_norm / direction_norm, 1.0);
      direction = direction * trust;
    }
    first_[i].mul_(constants_.momentum).add_(direction);
    tensor.sub_(first_[i], values.lr * parameters_[i].lr_scale);
  }
}

std::map<std::string, torch::Tensor> Optimizer::state() const {
  std::map<std::string, torch::Tensor> state;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const auto& name = parameters_[i].name;
    const auto& tensor = parameters_[i].tensor;
    // Collective: every rank asks for every tensor in the same order.
    const auto from_owner = [&](const torch::Tensor& own, at::IntArrayRef shape) {
      if (shards_.size() == 1) return own;
      const auto shared =
          owns(i) ? own : torch::empty(shape, tensor.options().dtype(torch::kFloat));
      shards_.broadcast_(shared, owners_[i]);
      return owns(i) ? own : shared.to(torch::kCPU);
    };
    state["step." + name] = from_owner(steps_[i], {});
    if (has_second_moments()) {
      state["exp_avg." + name] = from_owner(first_[i], tensor.sizes());
      state["exp_avg_sq." + name] = from_owner(second_[i], tensor.sizes());
    } else {
      state["momentum." + name] = from_owner(first_[i], tensor.sizes());
    }
  }
  // What a GPU has received from a group that lost a rank meanwhile must not be saved.
  shards_.barrier();
  return state;
}

void Optimizer::load_state(const std::map<std::string, torch::Tensor>& state) {
  const torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : this->state()) {
    const auto match = state.find(name);
    IBOT_CHECK_AS(CheckpointError, match != state.end(), "optimizer: missing ", name);
    IBOT_CHECK_AS(CheckpointError, match->second.sizes() == tensor.sizes(), "optimizer: ", name,
                  ": expected shape ", tensor.sizes(), ", got ", match->second.sizes());
    // Entries of this rank share storage with the optimizer; those of others are copies.
    torch::Tensor(tensor).copy_(match->second);
  }
}

}  // namespace ibot::optim
