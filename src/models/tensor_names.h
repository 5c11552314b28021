// What other programs call the tensors of our networks.
#pragma once

#include <torch/types.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace ibot::models {

/// Our name of a tensor; none where it belongs to no backbone and no projection head.
std::optional<std::string> own_name(std::string name);

/// Our place for the layers between the stages of a Swin transformer: at the end of the stage
/// before, as in the reference. timm 0.9 and later have them at the beginning of the next.
void restore_downsampling(std::map<std::string, torch::Tensor>& tensors);

}  // namespace ibot::models
