#include "ibot/models/load_state.h"

#include <torch/utils.h>

#include "ibot/base/error.h"

namespace ibot::models {

void load_state_(const std::map<std::string, torch::Tensor>& own,
                 const std::map<std::string, torch::Tensor>& stored) {
  // All checks come first: a refusal leaves the network as it was.
  for (const auto& [name, tensor] : own) {
    const auto match = stored.find(name);
    IBOT_CHECK_AS(CheckpointError, match != stored.end(), "checkpoint: missing ", name);
    IBOT_CHECK_AS(CheckpointError, match->second.sizes() == tensor.sizes(), "checkpoint: ", name,
                  ": expected shape ", tensor.sizes(), ", got ", match->second.sizes());
  }
  for (const auto& [name, tensor] : stored) {
    IBOT_CHECK_AS(CheckpointError, own.count(name) == 1, "checkpoint: ", name,
                  " belongs to no part of this network");
  }
  const torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : own) torch::Tensor(tensor).copy_(stored.at(name));
}

}  // namespace ibot::models
