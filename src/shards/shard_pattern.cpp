#include "shards/shard_pattern.h"

#include <glob.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <optional>

#include "data/folder_entries.h"
#include "ibot/base/error.h"

namespace ibot::data {
namespace {

namespace fs = std::filesystem;

using Words = std::vector<std::string>;

constexpr int64_t kMaxExpanded = 1'000'000;
constexpr std::array<std::string_view, 17> kArchiveEndings{
    ".tar",   ".tgz",     ".tbz",    ".tbz2",    ".txz",     ".tzst",
    ".tlz",   ".taz",     ".tar.gz", ".tar.bz2", ".tar.xz",  ".tar.zst",
    ".tar.z", ".tar.lz4", ".tar.lz", ".tar.br",  ".tar.lzma"};

bool exists(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error);
}

bool is_folder(const std::string& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

Words split(const std::string& text, const std::string& separator) {
  Words parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + separator.size();
  }
  return parts;
}

/// Length of the longest prefix, up to and including a slash, that is an existing folder.
size_t existing_prefix(const std::string& path) {
  for (size_t slash = path.rfind('/'); slash != std::string::npos && slash > 0;
       slash = path.rfind('/', slash - 1)) {
    if (is_folder(path.substr(0, slash))) return slash + 1;
  }
  return path.starts_with('/') ? 1 : 0;
}

std::optional<int64_t> parse_number(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// The numbers of FIRST..LAST or FIRST..LAST..STEP; zero-padded to the wider one if either begins
/// with 0, as in a shell.
Words range(const std::string& body) {
  const auto parts = split(body, "..");
  const auto first = parse_number(parts[0]);
  const auto last = parse_number(parts[1]);
  const auto given_step = parts.size() > 2 ? parse_number(parts[2]) : 1;
  const bool sound = parts.size() <= 3 && first && last && given_step && *first >= 0 &&
                     *last >= 0 && *given_step != 0 && std::abs(*last - *first) < kMaxExpanded;
  IBOT_CHECK_AS(DataError, sound, "shards: expected a range of numbers such as {000..146}, got {",
                body, "}");
  const auto begins_with_zero = [](const std::string& digits) {
    return digits.size() > 1 && digits[0] == '0';
  };
  const bool padded = begins_with_zero(parts[0]) || begins_with_zero(parts[1]);
  const size_t width = padded ? std::max(parts[0].size(), parts[1].size()) : 0;
  const int64_t step = *first <= *last ? std::abs(*given_step) : -std::abs(*given_step);
  Words words;
  for (int64_t number = *first; step > 0 ? number <= *last : number >= *last; number += step) {
    auto digits = std::to_string(number);
    words.push_back(std::string(width - std::min(width, digits.size()), '0') + digits);
  }
  return words;
}

/// Position of the brace that closes the one at `open`, and of the commas between its alternatives.
struct Brace {
  size_t close = std::string::npos;
  std::vector<size_t> commas;
};

Brace brace_at(const std::string& text, size_t open) {
  Brace brace;
  int depth = 0;
  for (size_t i = open; i < text.size(); ++i) {
    if (text[i] == '{') ++depth;
    if (text[i] == ',' && depth == 1) brace.commas.push_back(i);
    if (text[i] == '}' && --depth == 0) {
      brace.close = i;
      return brace;
    }
  }
  return brace;
}

Words expand_braces(const std::string& text);

/// Expansion of one pair of braces; literal if it contains neither a comma nor a range.
Words alternatives(const std::string& text, size_t open, const Brace& brace) {
  const auto body = text.substr(open + 1, brace.close - open - 1);
  Words words;
  if (!brace.commas.empty()) {
    auto ends = brace.commas;
    ends.push_back(brace.close);
    size_t begin = open + 1;
    for (const size_t end : ends) {
      const auto more = expand_braces(text.substr(begin, end - begin));
      words.insert(words.end(), more.begin(), more.end());
      begin = end + 1;
    }
  } else if (body.find("..") != std::string::npos && body.find('{') == std::string::npos) {
    words = range(body);
  } else {
    // Braces without a comma or a range stay, as in a shell.
    for (const auto& word : expand_braces(body)) words.push_back("{" + word + "}");
  }
  return words;
}

Words expand_braces(const std::string& text) {
  const size_t open = text.find('{');
  if (open == std::string::npos) return {text};
  const auto brace = brace_at(text, open);
  if (brace.close == std::string::npos) return {text};
  const auto rests = expand_braces(text.substr(brace.close + 1));
  const auto words = alternatives(text, open, brace);
  // Checked before the names are built: sets multiply.
  IBOT_CHECK_AS(DataError, words.size() * rests.size() <= kMaxExpanded, "shards: expected at most ",
                kMaxExpanded, " names, got more from ", text);
  Words names;
  for (const auto& word : words) {
    for (const auto& rest : rests) names.push_back(text.substr(0, open) + word + rest);
  }
  return names;
}

// An existing folder is literal in glob(), whatever its name contains.
std::string escaped(const std::string& path) {
  std::string result;
  for (const char c : path) {
    if (std::string_view("*?[\\").find(c) != std::string_view::npos) result += '\\';
    result += c;
  }
  return result;
}

/// Restricts matches of a wildcard to archives, if there are any: other tools put tables and
/// indices next to shards.
void keep_archives(Words& files) {
  if (std::none_of(files.begin(), files.end(), is_archive_name)) return;
  std::erase_if(files, [](const std::string& file) { return !is_archive_name(file); });
}

void add_matches(const std::string& name, Words& files) {
  const size_t prefix = existing_prefix(name);
  if (exists(name) || name.find_first_of("*?[", prefix) == std::string::npos) {
    files.push_back(name);
    return;
  }
  glob_t matches{};
  Words found;
  if (::glob((escaped(name.substr(0, prefix)) + name.substr(prefix)).c_str(), 0, nullptr,
             &matches) == 0) {
    found.assign(matches.gl_pathv, matches.gl_pathv + matches.gl_pathc);
  }
  ::globfree(&matches);
  keep_archives(found);
  files.insert(files.end(), found.begin(), found.end());
}

void add_files(const std::string& part, Words& files) {
  if (is_folder(part)) {
    const auto archives = archives_in(part);
    files.insert(files.end(), archives.begin(), archives.end());
  } else if (exists(part)) {
    files.push_back(part);
  } else {
    const size_t prefix = existing_prefix(part);
    for (const auto& rest : expand_braces(part.substr(prefix))) {
      add_matches(part.substr(0, prefix) + rest, files);
    }
  }
}

}  // namespace

bool is_archive_name(std::string_view name) {
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::any_of(kArchiveEndings.begin(), kArchiveEndings.end(),
                     [&](std::string_view ending) { return lower.ends_with(ending); });
}

bool is_pattern(std::string_view name) {
  return name.find_first_of("*?[{") != std::string_view::npos ||
         name.find("::") != std::string_view::npos;
}

std::vector<std::string> archives_in(const fs::path& folder) {
  LeftOut hidden;
  Words archives;
  for (const auto& name : entries_of(folder, hidden).files) {
    if (is_archive_name(name)) archives.push_back((folder / name).string());
  }
  return archives;
}

std::vector<std::string> files_matching(const std::string& where) {
  if (exists(where) && !is_folder(where)) return {where};
  const bool is_url = where.find("://") != std::string::npos || where.starts_with("pipe:");
  IBOT_CHECK_AS(DataError, !is_url, "shards: expected files of this machine, got ", where,
                "; download them first");
  Words files;
  for (const auto& part : is_folder(where) ? Words{where} : split(where, "::")) {
    add_files(part, files);
  }
  IBOT_CHECK_AS(DataError, !files.empty(), "shards: expected files that match ", where,
                ", found none; check the path");
  return files;
}

}  // namespace ibot::data
