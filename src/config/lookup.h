// Keys by name, and refusals that say where a key was set.
#pragma once

#include <string>

#include "ibot/config/section.h"

namespace ibot::config {

constexpr const char* kCommandLine = "command line";

/// Throws ConfigError "key: problem (origin)".
[[noreturn]] void fail(const std::string& key, const std::string& problem,
                       const std::string& origin);

/// nullptr if there is none of that name.
const Section* find_section(const Sections& sections, const std::string& name);
const Field* find_field(const Section& section, const std::string& name);
/// By "section.key".
const Field* find_field(const Sections& sections, const std::string& key);

/// Whether a file's top-level key is "base" or "sweep", which are no sections.
bool is_extra(const std::string& key);

}  // namespace ibot::config
