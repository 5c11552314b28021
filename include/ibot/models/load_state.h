// Restoring tensors from a checkpoint.
#pragma once

#include <torch/types.h>

#include <map>
#include <string>

namespace ibot::models {

/// Copies the tensor of the same name in `stored` into each tensor of `own`. Throws CheckpointError
/// on missing names, unknown names and different shapes, before anything is changed.
void load_state_(const std::map<std::string, torch::Tensor>& own,
                 const std::map<std::string, torch::Tensor>& stored);

}  // namespace ibot::models
