// What a folder holds.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/left_out.h"

namespace ibot::data {

/// Names, each kind sorted by code point.
struct FolderEntries {
  std::vector<std::string> folders;
  std::vector<std::string> files;
};

/// A link counts as what it leads to, one that leads nowhere as a file. Names that is_passed_over
/// are counted in `left_out` alone. Throws DataError when the folder cannot be read.
FolderEntries entries_of(const std::filesystem::path& folder, LeftOut& left_out);

}  // namespace ibot::data
