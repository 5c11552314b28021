// Expansion of shard patterns to files.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace ibot::data {

/// Whether the name is that of a tar archive, compressed or not, in either case.
bool is_archive_name(std::string_view name);

/// Whether the name could be a pattern: it holds one of * ? [ { or "::".
bool is_pattern(std::string_view name);

/// The archives in a folder, except hidden ones, sorted by name.
std::vector<std::string> archives_in(const std::filesystem::path& folder);

/// The files that `where` names, in its order; matches of a wildcard are sorted. Names separated by
/// "::" are each a file, a folder of archives, or a pattern. Existing names are taken literally,
/// whatever characters they contain, and so is the part of a pattern that is an existing folder.
/// Braces are those of WebDataset: {000..146}, {0..20..2}, {a,b}. Throws DataError if there are
/// none.
std::vector<std::string> files_matching(const std::string& where);

}  // namespace ibot::data
