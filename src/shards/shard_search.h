// Finding the samples of shards that came without an index.
#pragma once

#include <string>
#include <vector>

#include "shards/shard_index.h"

namespace ibot::data {

/// The index of the shards `files`, which `where` names: kept from an earlier search, or of a new
/// one. Throws DataError when a shard cannot be opened or none holds an image.
ShardIndex found_index(const std::string& where, const std::vector<std::string>& files);

}  // namespace ibot::data
