// Tensors that a checkpoint brings back.
#pragma once

#include <torch/types.h>

#include <map>
#include <string>

namespace ibot::models {

/// Copies into each tensor of `own` the one of its name in `stored`. Throws CheckpointError on
/// missing and on further names and on another shape, before anything is changed.
void load_state_(const std::map<std::string, torch::Tensor>& own,
                 const std::map<std::string, torch::Tensor>& stored);

}  // namespace ibot::models
