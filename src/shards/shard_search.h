// Search for the samples of shards without an index.
#pragma once

#include <string>
#include <vector>

#include "shards/shard_index.h"

namespace ibot::data {

/// The index of the shards `files`, which `where` names: cached by an earlier search, or new.
/// Throws DataError if a shard cannot be opened or none holds an image.
ShardIndex found_index(const std::string& where, const std::vector<std::string>& files);

}  // namespace ibot::data
