// The values that a configuration file states, of any version and any program.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace ibot::config {

/// Values by "section.key", as plain text: scalars without quotes, lists as "[a, b]". Unlike
/// read_config, keys need not be known nor values be valid. Throws ConfigError with name and line
/// for text that is not a YAML mapping.
std::map<std::string, std::string> written_values(std::string_view text, const std::string& name);

}  // namespace ibot::config
