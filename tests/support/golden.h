// Reference values of the official implementation, as data.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/io/safetensors.h"

namespace ibot::testing {

/// The folder that holds the groups: IBOT_GOLDENS, else tests/goldens.
inline std::filesystem::path golden_root() {
  const char* chosen = std::getenv("IBOT_GOLDENS");
  return chosen != nullptr ? chosen : std::string(IBOT_SOURCE_DIR) + "/tests/goldens";
}

/// One case: its description, its tensors and, where they have a file of their own, its weights and
/// inputs.
struct GoldenCase {
  std::string name;
  std::filesystem::path folder;
  nlohmann::json json;

  /// The tensors of NAME.`part`safetensors, such as "" or "weights.".
  std::map<std::string, torch::Tensor> tensors(const std::string& part = "") const {
    return io::read_safetensors(folder / (name + "." + part + "safetensors")).tensors;
  }
};

inline nlohmann::json read_json(const std::filesystem::path& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file);
}

/// Every case of a group, sorted by name; never empty, since a test over no case would prove
/// nothing.
inline std::vector<GoldenCase> golden_cases(const std::string& group) {
  std::vector<GoldenCase> cases;
  for (const auto& entry : std::filesystem::directory_iterator(golden_root() / group)) {
    if (entry.path().extension() != ".json") continue;
    cases.push_back({entry.path().stem().string(), golden_root() / group, read_json(entry.path())});
  }
  std::sort(cases.begin(), cases.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  if (cases.empty()) throw Error("no golden case in " + (golden_root() / group).string());
  return cases;
}

}  // namespace ibot::testing
