// Refusal of results that belong to other inputs.
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

/// Throws RequestError, naming the differences and the remedy, unless `file` was written under this
/// identity.
///
///   kept   identity stored in the file; empty: written by an earlier version, which stored none
void check_identity(const Identity& identity, const std::string& kept, const std::string& file);

}  // namespace ibot::apps
