// Locations of cached knowledge about a data set.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace ibot::data {

/// The absolute path, with links resolved as far as it exists.
std::filesystem::path full_path(const std::filesystem::path& path);

/// Candidate files for a cache about `path`, which may be a pattern, in order of preference: next
/// to it, in the deepest folder of its path that exists, then in the user's cache folder. File
/// names end in `kind`.
std::vector<std::filesystem::path> cache_places(const std::filesystem::path& path,
                                                const std::string& kind);

/// Calls `write` with each place until one succeeds; creates the user's cache folder but no other.
/// Failing everywhere is not an error: the work is then repeated next time.
void keep_in_cache(const std::vector<std::filesystem::path>& places,
                   const std::function<void(const std::filesystem::path&)>& write);

}  // namespace ibot::data
