// Which files a name of shards stands for.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace ibot::data {

/// Whether the name is that of a tar archive, compressed or not, in either case.
bool is_archive_name(std::string_view name);

/// Whether the name could be a pattern: it holds one of * ? [ { or "::".
bool is_pattern(std::string_view name);

/// The archives in a folder, hidden ones apart, sorted by name.
std::vector<std::string> archives_in(const std::filesystem::path& folder);

/// The files that `where` names, in its order; those of a wildcard sorted. Names apart by "::" are
/// each a file, a folder of archives, or a pattern. What exists is taken as it is, whatever
/// characters are in it, and so is the part of a pattern that is an existing folder. Braces are
/// those of WebDataset: {000..146}, {0..20..2}, {a,b}. Throws DataError when there are none.
std::vector<std::string> files_matching(const std::string& where);

}  // namespace ibot::data
