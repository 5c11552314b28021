// Refusing what was kept for something else.
#pragma once

#include <string>

#include "ibot/config/yaml.h"
#include "ibot/evaluation/identity.h"

namespace ibot::apps {

using evaluation::Identity;
using evaluation::tensors_hash;

/// Every value that changes results, by "section.key".
template <class Config>
std::map<std::string, std::string> result_values(const Config& config) {
  return config::flat_values(config, config::Keys::kOfResults);
}

/// Throws RequestError, which names what differs and what to do, unless `file` was kept under this
/// identity.
///
///   kept   its text as the file has it; empty: of an earlier version, which noted none
void check_identity(const Identity& identity, const std::string& kept, const std::string& file);

}  // namespace ibot::apps
