// Names that other programs give to the tensors of our networks.
#pragma once

#include <optional>
#include <string>

namespace ibot::models {

/// Our name of a tensor; nullopt if it belongs to neither a backbone nor a projection head.
std::optional<std::string> own_name(std::string name);

}  // namespace ibot::models
