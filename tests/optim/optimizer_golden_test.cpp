#include <gtest/gtest.h>

#include "ibot/optim/optimizer.h"
#include "support/expect_tensor.h"
#include "support/golden.h"

namespace ibot::optim {
namespace {

std::vector<Parameter> initial_parameters(const nlohmann::json& json,
                                          const std::map<std::string, torch::Tensor>& tensors) {
  std::vector<Parameter> parameters;
  for (const auto& [group, names] : json["groups"].items()) {
    for (const std::string name : names) {
      parameters.push_back({.name = name,
                            .tensor = tensors.at("init." + name).clone().set_requires_grad(true),
                            .decays = group.front() == '0'});
    }
  }
  return parameters;
}

TEST(OptimizerGolden, EveryKindFollowsTheReference) {
  for (const auto& golden : testing::golden_cases("14_optimizers")) {
    const auto tensors = golden.tensors();
    const testing::Tolerance tolerance{golden.json["tolerance"]["rtol"],
                                       golden.json["tolerance"]["atol"]};
    for (const auto& [kind, name] : EnumNames<OptimizerKind>::values) {
      Optimizer optimizer(kind, initial_parameters(golden.json, tensors));
      for (int64_t step = 0; step < golden.json["steps"].get<int64_t>(); ++step) {
        const auto number = ".step" + std::to_string(step) + ".";
        for (const auto& parameter : optimizer.parameters()) {
          const auto gradient = tensors.find("grad" + number + parameter.name);
          torch::Tensor(parameter.tensor).mutable_grad() =
              gradient == tensors.end() ? torch::Tensor() : gradient->second.clone();
        }
        optimizer.step({.lr = golden.json["lr_per_step"][step],
                        .weight_decay = golden.json["weight_decay_per_step"][step]});
        for (const auto& parameter : optimizer.parameters()) {
          const auto key = std::string(name) + number + parameter.name;
          EXPECT_TRUE(testing::near(parameter.tensor, tensors.at(key), tolerance)) << key;
        }
      }
    }
  }
}

}  // namespace
}  // namespace ibot::optim
