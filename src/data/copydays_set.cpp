#include "ibot/data/copydays_set.h"

#include <algorithm>
#include <map>

#include "data/folder_entries.h"
#include "ibot/base/error.h"

namespace ibot::data {
namespace {

namespace fs = std::filesystem;

/// Characters that a photograph and its strong copies share.
constexpr size_t kPrefix = 4;

const std::vector<std::string>& block_names() {
  static const std::vector<std::string> names{
      "original",    "strong",      "jpegqual/3",  "jpegqual/5",  "jpegqual/8",
      "jpegqual/10", "jpegqual/15", "jpegqual/20", "jpegqual/30", "jpegqual/50",
      "jpegqual/75", "crops/10",    "crops/15",    "crops/20",    "crops/30",
      "crops/40",    "crops/50",    "crops/60",    "crops/70",    "crops/80"};
  return names;
}

/// Sorted names of the images of a block; none where it has no folder.
std::vector<std::string> files_of(const fs::path& folder) {
  if (!fs::is_directory(folder)) return {};
  LeftOut left_out;
  auto files = entries_of(folder, left_out).files;
  std::erase_if(files, [](const auto& name) { return !name.ends_with(".jpg"); });
  return files;
}

std::vector<int64_t> same_group(const std::string& file,
                                const std::vector<std::string>& originals) {
  std::vector<int64_t> rows;
  for (size_t i = 0; i < originals.size(); ++i) {
    if (originals[i].substr(0, kPrefix) == file.substr(0, kPrefix)) {
      rows.push_back(static_cast<int64_t>(i));
    }
  }
  return rows;
}

CopyBlock block_of(const fs::path& root, const std::string& name,
                   const std::vector<std::string>& files,
                   const std::vector<std::string>& originals) {
  std::vector<FileList::Entry> entries;
  for (const auto& file : files) entries.push_back({(root / name / file).string(), 0});
  const auto source = (root / name).string();
  try {
    auto rows = originals_of(name, files, originals);
    return {name, FileList(source, std::move(entries), {""}), std::move(rows)};
  } catch (const DataError& error) {
    throw DataError(concat(source, ": ", error.what()));
  }
}

}  // namespace

std::vector<std::vector<int64_t>> originals_of(const std::string& block,
                                               const std::vector<std::string>& files,
                                               const std::vector<std::string>& originals) {
  std::map<std::string, int64_t> row_of;
  for (const auto& name : originals) row_of.emplace(name, static_cast<int64_t>(row_of.size()));
  const bool strong = block == "strong";
  std::string unknown;
  std::vector<std::vector<int64_t>> rows;
  for (const auto& file : files) {
    const auto row = row_of.find(file);
    rows.push_back(strong                ? same_group(file, originals)
                   : row != row_of.end() ? std::vector<int64_t>{row->second}
                                         : std::vector<int64_t>{});
    if (rows.back().empty() && unknown.empty()) unknown = file;
  }
  if (unknown.empty()) return rows;
  IBOT_CHECK_AS(DataError, !strong && files.size() == originals.size(), unknown,
                ": expected an original of ",
                strong ? "the same first four characters" : "the same name", ", found none");
  // As many files as originals under other names: the official script goes by place.
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = {static_cast<int64_t>(i)};
  return rows;
}

CopydaysSet open_copydays(const fs::path& root) {
  const auto originals = files_of(root / block_names().front());
  IBOT_CHECK_AS(DataError, !originals.empty(), root.string(),
                ": expected the photographs of Copydays in original/*.jpg, found none");
  CopydaysSet set;
  for (const auto& name : block_names()) {
    const auto files = files_of(root / name);
    if (files.empty()) {
      set.missing.push_back(name);
    } else {
      set.blocks.push_back(block_of(root, name, files, originals));
    }
  }
  return set;
}

}  // namespace ibot::data
