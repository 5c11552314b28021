// What an unknown section or key was meant to be.
#pragma once

#include <string>

#include "ibot/config/section.h"

namespace ibot::config {

/// "; did you mean optim.lr?" for an unknown "section.key" or, without a point, an unknown section;
/// the keys of the only section, or a hint where to look, when nothing is near.
std::string suggest(const Sections& sections, const std::string& key);

}  // namespace ibot::config
