// Putting stored weights into modules.
#pragma once

#include <gtest/gtest.h>
#include <torch/nn/module.h>

#include <map>
#include <set>
#include <string>

#include "ibot/models/network.h"

namespace ibot::testing {

/// Copies each tensor into the parameter or buffer of its name. Names in the file alone must
/// contain one of `aliases`; names in the module alone are failures. What follows from the
/// architecture, the index of relative positions, may be left out and must be equal where it is
/// not.
inline void load_weights(torch::nn::Module& module,
                         const std::map<std::string, torch::Tensor>& weights,
                         const std::string& prefix = "",
                         const std::set<std::string>& aliases = {}) {
  const torch::NoGradGuard no_grad;
  std::set<std::string> used;
  for (auto& [name, tensor] : models::named_state(module)) {
    const auto match = weights.find(prefix + name);
    if (name.find("relative_position_index") != std::string::npos) {
      if (match == weights.end()) continue;
      EXPECT_TRUE(tensor.cpu().equal(match->second)) << name;
    }
    ASSERT_NE(match, weights.end()) << "no weight for " << prefix + name;
    ASSERT_EQ(tensor.sizes(), match->second.sizes()) << name;
    torch::Tensor(tensor).copy_(match->second);
    used.insert(match->first);
  }
  for (const auto& [name, tensor] : weights) {
    if (name.rfind(prefix, 0) != 0 || used.count(name) > 0) continue;
    const bool alias = std::any_of(
        aliases.begin(), aliases.end(),
        [&name = name](const auto& part) { return name.find(part) != std::string::npos; });
    EXPECT_TRUE(alias) << "weight without a place: " << name;
  }
}

/// Class and patch tokens, [B, 1 + N, D], as the reference gives them.
inline torch::Tensor all_tokens(const models::BackboneOutput& output) {
  return torch::cat({output.class_token.unsqueeze(1), output.patch_tokens}, 1);
}

}  // namespace ibot::testing
