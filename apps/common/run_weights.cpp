#include "common/run_weights.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "common/run_main.h"
#include "ibot/base/error.h"

namespace ibot::apps {
namespace {

namespace fs = std::filesystem;

/// The first of `files` that the folder has.
std::string file_in(const std::string& where, const std::vector<std::string>& files) {
  std::error_code unknown;
  if (!fs::is_directory(where, unknown)) return where;
  std::string wanted;
  for (const auto& file : files) {
    const auto path = fs::path(where) / file;
    if (fs::exists(path, unknown)) return path.string();
    wanted += (wanted.empty() ? "" : " or ") + file;
  }
  throw RequestError(
      concat(where, ": expected a file of weights, or a folder with ", wanted, ", found none"));
}

/// What says nothing of a run: the ending, and the names that all checkpoints share.
std::vector<std::string> telling_parts(const std::string& weights) {
  fs::path path = fs::path(weights).lexically_normal();
  const auto stem = path.stem().string();
  const bool shared = stem == "last" || stem == "best";
  std::vector<std::string> parts;
  for (const auto& part : path.parent_path()) {
    if (part.string().find_first_not_of("./") != std::string::npos) parts.push_back(part.string());
  }
  if (!parts.empty() && parts.back() == "checkpoints") parts.pop_back();
  if (!shared || parts.empty()) parts.push_back(stem);
  return parts;
}

/// The last `count` parts.
std::string joined_end(const std::vector<std::string>& parts, size_t count) {
  std::string name;
  for (size_t i = parts.size() - std::min(count, parts.size()); i < parts.size(); ++i) {
    name += (name.empty() ? "" : "-") + parts[i];
  }
  return name;
}

/// Whether a task of ibot-eval wrote the folder. That of a pre-training, which has config.yaml, may
/// hold the report of an evaluation too.
bool is_of_evaluation(const fs::path& folder) {
  return fs::exists(folder / "report.json") && !fs::exists(folder / "config.yaml");
}

bool all_differ(const std::vector<std::string>& names) {
  auto sorted = names;
  std::sort(sorted.begin(), sorted.end());
  return std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end();
}

}  // namespace

std::string weights_in(const std::string& where) {
  std::vector<std::string> files{"checkpoints/last.safetensors", "last.safetensors"};
  if (is_of_evaluation(where)) files.insert(files.begin(), "checkpoints/best.safetensors");
  return file_in(where, files);
}

std::string usual_key(const std::string& file) {
  const fs::path path(file);
  const auto folder = path.parent_path();
  const bool is_tuned = path.filename() == "best.safetensors" &&
                        folder.filename() == "checkpoints" &&
                        is_of_evaluation(folder.parent_path());
  return is_tuned ? "model" : "teacher";
}

std::string network_in(const std::string& where) {
  return file_in(where, {"segmentor.safetensors", "detector.safetensors"});
}

std::string classifier_file_in(const std::string& where) {
  return file_in(where, {"linear.safetensors"});
}

std::vector<std::string> short_names(const std::vector<std::string>& weights) {
  std::vector<std::vector<std::string>> parts;
  size_t most = 1;
  for (const auto& each : weights) {
    parts.push_back(telling_parts(each));
    most = std::max(most, parts.back().size());
  }
  std::vector<std::string> names;
  for (size_t count = 1; count <= most; ++count) {
    names.clear();
    for (const auto& each : parts) names.push_back(joined_end(each, count));
    if (all_differ(names)) return names;
  }
  // The same weights twice, or two files that differ in their ending alone.
  std::map<std::string, int> seen;
  for (auto& name : names) {
    const int number = ++seen[name];
    if (number > 1) name += concat("-", number);
  }
  return names;
}

}  // namespace ibot::apps
