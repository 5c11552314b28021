#include "data/folder_entries.h"

#include <algorithm>

#include "ibot/base/error.h"

namespace ibot::data {

namespace fs = std::filesystem;

FolderEntries entries_of(const fs::path& folder, LeftOut& left_out) {
  std::error_code error;
  FolderEntries entries;
  fs::directory_iterator entry(folder, error);
  // A range-for would throw on an error in between.
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    auto name = entry->path().filename().string();
    if (is_passed_over(name)) {
      left_out.add_hidden(name);
      continue;
    }
    std::error_code broken_link;
    auto& names = entry->is_directory(broken_link) ? entries.folders : entries.files;
    names.push_back(std::move(name));
  }
  IBOT_CHECK_AS(DataError, !error, "image folder: cannot read ", folder.string(), ": ",
                error.message());
  std::sort(entries.folders.begin(), entries.folders.end());
  std::sort(entries.files.begin(), entries.files.end());
  return entries;
}

}  // namespace ibot::data
