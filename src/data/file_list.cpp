#include "ibot/data/file_list.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <sstream>
#include <string_view>
#include <tuple>

#include "data/content.h"
#include "data/file_bytes.h"
#include "data/folder_entries.h"
#include "ibot/base/error.h"

namespace ibot::data {
namespace {

namespace fs = std::filesystem;

/// Class folder, and path below it, of a line.
struct ListedName {
  std::string folder;
  std::string file;
};

ListedName parse_name(const std::string& line, const std::string& where) {
  // SimCLR's lists have names such as n01440764_10026.JPEG; others have folders.
  const size_t slash = line.find('/');
  if (slash != std::string::npos) return {line.substr(0, slash), line.substr(slash + 1)};
  const size_t underscore = line.find('_');
  IBOT_CHECK_AS(DataError, underscore != std::string::npos && underscore > 0, where,
                ": expected CLASS_NUMBER.EXTENSION or CLASS/FILE, got ", line);
  return {line.substr(0, underscore), line};
}

}  // namespace

FileList::FileList(const std::string& source, std::vector<Entry> entries,
                   std::vector<std::string> class_names, std::vector<std::string> notes)
    : entries_(std::move(entries)), class_names_(std::move(class_names)), notes_(std::move(notes)) {
  IBOT_CHECK_AS(DataError, !entries_.empty(), source, ": expected images, found none");
  const auto classes = static_cast<int64_t>(class_names_.size());
  int64_t missing = 0;
  std::string first;
  for (const auto& [path, label] : entries_) {
    IBOT_CHECK_AS(DataError, label >= 0 && label < classes, source, ": ", path,
                  ": expected a class from 0 to ", classes - 1, ", got ", label);
    std::error_code error;
    if (fs::is_regular_file(path, error)) continue;
    if (missing++ == 0) first = path;
  }
  IBOT_CHECK_AS(DataError, missing == 0, source, ": ", missing, " of ", entries_.size(),
                " images are missing, the first one ", first);
}

std::vector<uint8_t> FileList::read(int64_t sample) const {
  return file_bytes(entries_[sample].path);
}

std::string FileList::content_hash() const {
  // Length of the common folder within each path.
  std::string_view common = entries_.front().path;
  for (const auto& entry : entries_) {
    const auto end =
        std::mismatch(common.begin(), common.end(), entry.path.begin(), entry.path.end());
    common = common.substr(0, end.first - common.begin());
  }
  // Names below the common folder: the hash does not depend on where the data are.
  const size_t below = common.find_last_of('/') + 1;
  Hash hash;
  add_labels(hash, *this);
  add_files(
      hash, size(), [this](int64_t i) { return path(i); },
      [&](int64_t i) { return entries_[i].path.substr(below); });
  return hash.hex();
}

FileList listed_images(const fs::path& root, const fs::path& list) {
  LeftOut beside;
  LeftOut listed;
  const auto class_names = entries_of(root, beside).folders;
  std::map<std::string, int64_t> label_of;
  for (const auto& name : class_names) label_of.emplace(name, label_of.size());
  const auto bytes = file_bytes(list.string());
  std::istringstream lines(std::string(bytes.begin(), bytes.end()));
  std::vector<FileList::Entry> entries;
  int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::string where = concat(list.string(), ":", ++number);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (line.empty()) continue;
    if (has_part_passed_over(line)) {
      listed.add_hidden(line);
      continue;
    }
    const auto [folder, file] = parse_name(line, where);
    const auto label = label_of.find(folder);
    IBOT_CHECK_AS(DataError, label != label_of.end(), where, ": expected a class folder ", folder,
                  " in ", root.string(), ", found none");
    entries.push_back({(root / folder).string() + "/" + file, label->second});
  }
  // Ordered like an image folder, whatever the order of the list; duplicates count once.
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return std::tie(a.label, a.path) < std::tie(b.label, b.path);
  });
  const auto same = [](const auto& a, const auto& b) { return a.path == b.path; };
  entries.erase(std::unique(entries.begin(), entries.end(), same), entries.end());
  return {list.string(), std::move(entries), class_names, listed.notes()};
}

}  // namespace ibot::data
