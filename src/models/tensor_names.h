// What other programs call the tensors of our networks.
#pragma once

#include <optional>
#include <string>

namespace ibot::models {

/// Our name of a tensor; none where it belongs to no backbone and no projection head.
std::optional<std::string> own_name(std::string name);

}  // namespace ibot::models
