#include "ibot/config/config_file.h"

#include <algorithm>
#include <fstream>
#include <optional>

#include "config/document.h"
#include "config/lookup.h"
#include "ibot/base/error.h"

namespace ibot::config {
namespace {

namespace fs = std::filesystem;

/// The value of a top-level key; nullptr if there is none.
const Node* stated(const Node& root, const std::string& name, const std::string& file) {
  const Node* found = nullptr;
  for (size_t i = 0; i < root.keys.size(); ++i) {
    if (root.keys[i].text != name) continue;
    if (found != nullptr) fail(name, "stated twice", concat(file, ":", root.keys[i].line));
    found = &root.values[i];
  }
  return found;
}

Node parsed(const ConfigText& file) {
  try {
    return parse_document(file.text);
  } catch (const DocumentError& error) {
    throw ConfigError(concat(file.name, ":", error.line(), ": ", error.what()));
  }
}

/// The path that the file's `base` names, if any.
std::optional<fs::path> base_of(const ConfigText& file) {
  const Node root = parsed(file);
  const Node* base = stated(root, "base", file.name);
  if (base == nullptr) return std::nullopt;
  if (base->kind != Node::Kind::kScalar || base->text.empty()) {
    fail("base", "expected the path of a YAML file, got " + describe(*base),
         concat(file.name, ":", base->line));
  }
  return (fs::path(file.name).parent_path() / base->text).lexically_normal();
}

std::string chain_of(const std::vector<ConfigText>& files, const std::string& last) {
  std::string names;
  for (const auto& file : files) names += file.name + " -> ";
  return names + last;
}

}  // namespace

std::string read_config_file(const std::filesystem::path& path) {
  std::error_code error;
  const bool is_folder = std::filesystem::is_directory(path, error);
  std::ifstream file(path, std::ios::binary);
  IBOT_CHECK_AS(ConfigError, file && !is_folder, path.string(), ": expected a YAML file, found ",
                is_folder ? "a folder" : "none");
  // Reading one byte more than allowed detects files that are too large, even endless ones.
  std::string text(kMaxBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  IBOT_CHECK_AS(ConfigError, text.size() <= kMaxBytes, path.string(),
                ": expected at most 1 MB of YAML, got more");
  return text;
}

std::vector<ConfigText> read_config_files(const fs::path& path) {
  std::vector<ConfigText> files;
  std::optional<fs::path> next = path.empty() ? std::nullopt : std::optional(path);
  while (next) {
    const auto same = [&](const ConfigText& file) {
      std::error_code unknown;
      return fs::equivalent(file.name, *next, unknown);
    };
    IBOT_CHECK_AS(ConfigError, std::none_of(files.begin(), files.end(), same),
                  "base: expected files that are not based on themselves, got ",
                  chain_of(files, next->string()));
    files.push_back({next->string(), read_config_file(*next)});
    next = base_of(files.back());
  }
  std::reverse(files.begin(), files.end());
  return files;
}

void refuse_sweep(const std::vector<ConfigText>& files) {
  for (const auto& file : files) {
    const Node root = parsed(file);
    const Node* sweep = stated(root, "sweep", file.name);
    if (sweep == nullptr) continue;
    fail("sweep", "expected one configuration, got several, which ibot-train alone runs",
         concat(file.name, ":", sweep->line));
  }
}

}  // namespace ibot::config
