#include "data/left_out.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "ibot/base/error.h"

namespace ibot::data {
namespace {

constexpr size_t kMaxNames = 1000;
constexpr size_t kMaxShown = 8;
constexpr size_t kMaxEnding = 10;

// In lower case: macOS, Windows, ext4, and the appliances of Synology and QNAP.
constexpr std::array<std::string_view, 19> kSystemNames{
    "__macosx",        "icon\r",       "network trash folder",
    "temporary items", "thumbs.db",    "ehthumbs.db",
    "desktop.ini",     "$recycle.bin", "system volume information",
    "found.000",       "lost+found",   "lost.dir",
    "@eadir",          "@tmp",         "#recycle",
    "#snapshot",       "@recycle",     "@recently-snapshot",
    "__pycache__"};

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

}  // namespace

void Tally::add(const std::string& name, int64_t count) {
  const bool known = counts_.size() < kMaxNames || counts_.count(name) > 0;
  // Endings of a broken set may all differ: memory stays bounded.
  counts_[known ? name : "others"] += count;
}

void Tally::add(const Tally& other) {
  for (const auto& [name, count] : other.counts_) add(name, count);
}

int64_t Tally::total() const {
  int64_t total = 0;
  for (const auto& [name, count] : counts_) total += count;
  return total;
}

std::string Tally::text() const {
  std::vector<std::pair<std::string, int64_t>> sorted(counts_.begin(), counts_.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string text;
  for (size_t i = 0; i < std::min(sorted.size(), kMaxShown); ++i) {
    text += concat(i > 0 ? ", " : "", sorted[i].first, ' ', sorted[i].second);
  }
  if (sorted.size() > kMaxShown) text += concat(" and ", sorted.size() - kMaxShown, " more");
  return text;
}

bool is_passed_over(std::string_view name) {
  if (name.starts_with('.')) return true;
  return std::find(kSystemNames.begin(), kSystemNames.end(), lower(name)) != kSystemNames.end();
}

bool has_part_passed_over(std::string_view path) {
  while (true) {
    const auto part = path.substr(0, path.find('/'));
    if (part != "." && part != ".." && is_passed_over(part)) return true;
    if (part.size() == path.size()) return false;
    path.remove_prefix(part.size() + 1);
  }
}

std::string ending_of(std::string_view name) {
  const size_t dot = name.rfind('.');
  const auto ending = dot == std::string_view::npos ? "" : name.substr(dot + 1);
  const bool usual = !ending.empty() && ending.size() <= kMaxEnding &&
                     std::all_of(ending.begin(), ending.end(),
                                 [](unsigned char c) { return std::isalnum(c) != 0; });
  return usual ? lower(name.substr(dot)) : "no ending";
}

void LeftOut::add_hidden(const std::string& name) {
  // The smallest name, not the first found: folders are listed by several threads.
  if (hidden++ == 0 || name < example) example = name;
}

void LeftOut::add(const LeftOut& other) {
  if (other.hidden > 0 && (hidden == 0 || other.example < example)) example = other.example;
  hidden += other.hidden;
  endings.add(other.endings);
}

std::vector<std::string> LeftOut::notes() const {
  std::vector<std::string> notes;
  if (hidden > 0) notes.push_back(hidden_note(*this));
  if (const auto files = endings.total(); files > 0) {
    notes.push_back(
        concat("left out ", files,
               files == 1 ? " file by its ending: " : " files by their ending: ", endings.text()));
  }
  return notes;
}

std::string hidden_note(const LeftOut& left_out) {
  if (left_out.hidden == 1) {
    return concat("passed over ", left_out.example, ", a hidden name or one that systems leave");
  }
  return concat("passed over ", left_out.hidden,
                " hidden names or ones that systems leave, the first one ", left_out.example);
}

}  // namespace ibot::data
