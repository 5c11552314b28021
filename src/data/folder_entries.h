// The entries of a folder.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/left_out.h"

namespace ibot::data {

/// Names, sorted by code point.
struct FolderEntries {
  std::vector<std::string> folders;
  std::vector<std::string> files;
};

/// A link counts as its target, a broken link as a file. Names for which is_passed_over() holds are
/// only counted in `left_out`. Throws DataError if the folder cannot be read.
FolderEntries entries_of(const std::filesystem::path& folder, LeftOut& left_out);

}  // namespace ibot::data
