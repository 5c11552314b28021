// Where what was learnt of a data set may be kept.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace ibot::data {

/// The path from the root of the file system on, without links as far as it exists.
std::filesystem::path full_path(const std::filesystem::path& path);

/// Files to try in turn for what is known of `path`, which may be a pattern: beside it, that is in
/// the last folder of its path that exists, and in the user's cache folder. `kind` ends their
/// names.
std::vector<std::filesystem::path> cache_places(const std::filesystem::path& path,
                                                const std::string& kind);

/// Calls `write` with each place until one can be written; of folders it makes the user's cache
/// folder alone. That none can is no error: the work is
/// then done again next time.
void keep_in_cache(const std::vector<std::filesystem::path>& places,
                   const std::function<void(const std::filesystem::path&)>& write);

}  // namespace ibot::data
