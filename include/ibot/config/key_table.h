// The keys of a configuration as a page for people.
#pragma once

#include <string>
#include <vector>

#include "ibot/config/section.h"

namespace ibot::config {

/// A Markdown table of each section: key, value and description.
std::string key_tables(const Sections& sections);

/// The keys that `wanted` names, "section.key", or all of a section by "section.".
Sections selected(const Sections& sections, const std::vector<std::string>& wanted);

}  // namespace ibot::config
