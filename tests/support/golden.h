// Reference values of the official implementation, as data.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/io/safetensors.h"
#include "support/expect_tensor.h"
#include "support/read_json.h"

namespace ibot::testing {

/// The folder that holds the groups: IBOT_GOLDENS, else tests/goldens.
inline std::filesystem::path golden_root() {
  const char* chosen = std::getenv("IBOT_GOLDENS");
  return chosen != nullptr ? chosen : std::string(IBOT_SOURCE_DIR) + "/tests/goldens";
}

/// The folder of those of dense prediction, retrieval and analysis: IBOT_GOLDENS_DENSE, else
/// tests/goldens_dense.
inline std::filesystem::path dense_golden_root() {
  const char* chosen = std::getenv("IBOT_GOLDENS_DENSE");
  return chosen != nullptr ? chosen : std::string(IBOT_SOURCE_DIR) + "/tests/goldens_dense";
}

/// One case: its description, its tensors and, where they have a file of their own, its weights and
/// inputs.
struct GoldenCase {
  std::string name;
  std::filesystem::path folder;
  ReadJson json;

  /// The tensors of the file that the description names as `file`, `weights` or `inputs`.
  std::map<std::string, torch::Tensor> tensors(const std::string& key = "file") const {
    return io::read_safetensors(folder / json.at(key).get<std::string>()).tensors;
  }

  Tolerance tolerance() const { return {json["tolerance"]["rtol"], json["tolerance"]["atol"]}; }
};

inline GoldenCase case_in(const std::filesystem::path& folder, const std::string& name) {
  return {name, folder, read_json(folder / (name + ".json"))};
}

/// Every case of a folder, sorted by name; never empty, since a test over no case would prove
/// nothing.
inline std::vector<GoldenCase> cases_in(const std::filesystem::path& folder) {
  std::vector<GoldenCase> cases;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".json") continue;
    cases.push_back(case_in(folder, entry.path().stem().string()));
  }
  std::sort(cases.begin(), cases.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  if (cases.empty()) throw Error("no golden case in " + folder.string());
  return cases;
}

inline GoldenCase golden_case(const std::string& group, const std::string& name) {
  return case_in(golden_root() / group, name);
}

inline std::vector<GoldenCase> golden_cases(const std::string& group) {
  return cases_in(golden_root() / group);
}

inline GoldenCase dense_case(const std::string& group, const std::string& name) {
  return case_in(dense_golden_root() / group, name);
}

}  // namespace ibot::testing
