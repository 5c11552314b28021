#include <gtest/gtest.h>

#include "ibot/optim/optimizer.h"
#include "support/golden_tensors.h"
#include "support/test_device.h"

namespace ibot::optim {
namespace {

using testing::GoldenTensors;
using testing::ReadJson;

std::vector<Parameter> initial_parameters(const ReadJson& json, const GoldenTensors& tensors) {
  std::vector<Parameter> parameters;
  for (const auto& [group, names] : json["groups"].items()) {
    for (const auto& name : names.get<std::vector<std::string>>()) {
      parameters.push_back({.name = name,
                            .tensor = tensors.at("init." + name).clone().set_requires_grad(true),
                            .decays = group.front() == '0'});
    }
  }
  return parameters;
}

/// All steps of one optimizer, whose stored parameters begin with `prefix`.
void check_steps(Optimizer optimizer, const std::string& prefix, const ReadJson& json,
                 const GoldenTensors& tensors, const std::function<StepValues(int64_t)>& values) {
  for (int64_t step = 0; step < json["steps"].get<int64_t>(); ++step) {
    const auto number = concat(".step", step, ".");
    for (const auto& parameter : optimizer.parameters()) {
      const auto gradient = "grad" + number + parameter.name;
      torch::Tensor(parameter.tensor).mutable_grad() =
          tensors.has(gradient) ? tensors.at(gradient).clone() : torch::Tensor();
    }
    optimizer.step(values(step));
    for (const auto& parameter : optimizer.parameters()) {
      tensors.compare(parameter.tensor, prefix + number + parameter.name);
    }
  }
}

TEST(OptimizerGolden, EveryKindFollowsTheReference) {
  for (const auto& golden : testing::golden_cases("14_optimizers")) {
    const auto& json = golden.json;
    const GoldenTensors tensors(testing::on_test_device(golden.tensors()),
                                testing::on_test_device(golden.tolerance()));
    for (const auto kind : {OptimizerKind::kAdamW, OptimizerKind::kSgd, OptimizerKind::kLars}) {
      check_steps(Optimizer(kind, initial_parameters(json, tensors)), std::string(enum_name(kind)),
                  json, tensors, [&](int64_t step) {
                    return StepValues{.lr = json["lr_per_step"][step],
                                      .weight_decay = json["weight_decay_per_step"][step]};
                  });
    }
    // As in the linear sweep: all parameters in one group, at the rates that the notes state.
    auto parameters = initial_parameters(json, tensors);
    for (auto& parameter : parameters) parameter.decays = true;
    check_steps(Optimizer(OptimizerKind::kLars, parameters), "lars_linear", json, tensors,
                [](int64_t) { return StepValues{.lr = 0.3, .weight_decay = 1e-6}; });
    tensors.expect_all_used();
    json.expect_all_read();
  }
}

}  // namespace
}  // namespace ibot::optim
