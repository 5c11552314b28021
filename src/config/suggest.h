// Suggestions for unknown sections and keys.
#pragma once

#include <string>

#include "ibot/config/section.h"

namespace ibot::config {

/// "; did you mean optim.lr?" for an unknown "section.key" or, without a dot, an unknown section or
/// a key without its section, of which all that there are are named. If nothing is near: the keys
/// of the only section, or a hint where to look.
std::string suggest(const Sections& sections, const std::string& key);

}  // namespace ibot::config
