// Finding the samples of shards that came without an index.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/shard_index.h"

namespace ibot::data {

/// The files that a pattern names, in its order; those of a wildcard sorted. Throws DataError when
/// there are none.
std::vector<std::string> files_matching(const std::string& pattern);

/// The index of the shards that `pattern` names: kept from an earlier search, or of a new one.
/// Throws DataError when a shard cannot be opened or none holds an image.
ShardIndex found_index(const std::string& pattern);

}  // namespace ibot::data
