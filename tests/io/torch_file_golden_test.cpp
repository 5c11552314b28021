// The reference's own .pth files: both formats, host and GPU storages.
#include <gtest/gtest.h>

#include "ibot/io/torch_file.h"
#include "support/expect_tensor.h"
#include "support/golden.h"

namespace ibot::io {
namespace {

/// Every tensor below `value`, named section/key; tuples and lists count from 0.
void collect(const Value& value, const std::string& name,
             std::map<std::string, torch::Tensor>& tensors) {
  const auto below = [&](const std::string& key) { return name.empty() ? key : name + "/" + key; };
  if (value.tensor() != nullptr) tensors[name] = *value.tensor();
  if (value.dict() != nullptr) {
    for (const auto& [key, item] : value.dict()->items) {
      collect(item, below(key.text() != nullptr ? *key.text() : std::to_string(*key.integer())),
              tensors);
    }
  }
}

void expect_same(const Value& value, const nlohmann::json& expected, const std::string& where) {
  SCOPED_TRACE(where);
  if (expected.is_null()) {
    EXPECT_TRUE(value.is_none());
  } else if (expected.is_boolean()) {
    EXPECT_EQ(value.boolean(), expected.get<bool>());
  } else if (expected.is_number_integer()) {
    EXPECT_EQ(value.integer(), expected.get<int64_t>());
  } else if (expected.is_number()) {
    EXPECT_EQ(value.number(), expected.get<double>());
  } else if (expected.is_string()) {
    ASSERT_NE(value.text(), nullptr);
    EXPECT_EQ(*value.text(), expected.get<std::string>());
  } else if (expected.is_array()) {
    ASSERT_NE(value.list(), nullptr);
    ASSERT_EQ(value.list()->items.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      expect_same(value.list()->items[i], expected[i], std::to_string(i));
    }
  } else {
    ASSERT_NE(value.dict(), nullptr);
    for (const auto& [key, item] : expected.items()) {
      ASSERT_NE(value.dict()->find(key), nullptr) << key;
      expect_same(*value.dict()->find(key), item, key);
    }
  }
}

Value at_path(Value value, const std::string& path) {
  for (size_t begin = 0; begin < path.size();) {
    const auto end = std::min(path.find('/', begin), path.size());
    const auto* found = value.dict()->find(path.substr(begin, end - begin));
    if (found == nullptr) return {};
    value = Value(*found);
    begin = end + 1;
  }
  return value;
}

bool starts_with(const std::string& text, const std::string& beginning) {
  return text.rfind(beginning, 0) == 0;
}

/// Checks one file against what its case says, as far as the file holds it.
void check_file(const testing::GoldenCase& golden, const testing::ReadJson& description) {
  const std::string name = description["file"];
  SCOPED_TRACE(name);
  const auto file = read_torch_file(golden.folder / name);
  const std::string format = description["format"];
  const bool zip = starts_with(format, "zip");
  EXPECT_EQ(file.format, zip ? TorchFormat::kZip : TorchFormat::kLegacy);
  std::map<std::string, torch::Tensor> tensors;
  collect(file.root, "", tensors);
  const auto expected =
      read_safetensors(golden.folder / golden.json["all_tensors"].get<std::string>()).tensors;
  size_t compared = 0;
  // A backbone file holds one section's backbone tensors without prefix.
  const std::string prefix = !starts_with(name, "backbone_") ? ""
                             : name.find("student") != std::string::npos
                                 ? "student/module.backbone."
                                 : "teacher/backbone.";
  const std::string section =
      starts_with(name, "backbone_") && name.find("flat") == std::string::npos ? "state_dict/" : "";
  for (const auto& [key, tensor] : tensors) {
    EXPECT_TRUE(tensor.is_cpu());
    const auto match = expected.find(prefix + key.substr(section.size()));
    if (match == expected.end()) {
      const bool left_out = key.find("relative_position_index") != std::string::npos ||
                            starts_with(key, "optimizer/");
      EXPECT_TRUE(left_out) << key;
      continue;
    }
    // Counts and steps are integers of Python in some files, tensors in the description.
    EXPECT_TENSOR_EQUAL(tensor, match->second) << key;
    ++compared;
  }
  for (const auto& [key, tensor] : expected) {
    if (prefix.empty() ? !starts_with(key, "optimizer/") || !starts_with(format, "legacy")
                       : starts_with(key, prefix)) {
      if (prefix.empty() && starts_with(key, "optimizer/") && !zip) continue;
      EXPECT_EQ(tensors.count(section + key.substr(prefix.size())), 1u) << key;
    }
  }
  EXPECT_GT(compared, 0u);
  if (!prefix.empty()) return;
  for (const auto& [path, value] : golden.json["scalars"].items()) {
    if (!zip && starts_with(path, "optimizer")) continue;
    expect_same(at_path(file.root, path), value.get<nlohmann::json>(), path);
  }
}

TEST(TorchFileGolden, ReadsEveryCheckpointToTheBit) {
  int files = 0;
  for (const auto& golden : testing::golden_cases("13_checkpoint")) {
    if (!golden.json.contains("all_tensors")) continue;
    for (const auto& description : golden.json["files"].elements()) {
      check_file(golden, description);
      ++files;
    }
    // Wherever storages lay, they are read into host memory; the rest is of the networks' test.
    golden.json.expect_all_read(
        {"config", "tolerance", "files/storage_location", "files/model", "file"});
  }
  EXPECT_GT(files, 0);
}

/// The only tensor of the section whose name ends so.
const torch::Tensor* ending_with(const Value& section, const std::string& ending) {
  for (const auto& [key, value] : section.dict()->items) {
    const auto& name = *key.text();
    const bool found = name.size() >= ending.size() &&
                       name.compare(name.size() - ending.size(), ending.size(), ending) == 0;
    if (found) return value.tensor();
  }
  return nullptr;
}

TEST(TorchFileGolden, SharedHeadsShareTheirStorage) {
  int shared = 0;
  for (const auto& golden : testing::golden_cases("13_checkpoint")) {
    if (!golden.json.contains("all_tensors")) continue;
    for (const auto& description : golden.json["files"].elements()) {
      const std::string name = description["file"];
      if (starts_with(name, "backbone_")) continue;
      const auto root = read_torch_file(golden.folder / name).root;
      for (const std::string network : {"student", "teacher"}) {
        SCOPED_TRACE(name + " " + network);
        const auto section = at_path(root, network);
        const auto* first = ending_with(section, "head.last_layer.weight_v");
        const auto* second = ending_with(section, "head.last_layer2.weight_v");
        ASSERT_TRUE(first != nullptr && second != nullptr);
        const bool expected = golden.json["config"]["shared_head_" + network];
        EXPECT_EQ(first->data_ptr() == second->data_ptr(), expected);
        shared += expected;
      }
    }
  }
  EXPECT_GT(shared, 0);
}

TEST(TorchFileGolden, ReadsTheLinearClassifier) {
  int files = 0;
  for (const auto& golden : testing::golden_cases("13_checkpoint")) {
    if (!golden.json.contains("linear")) continue;
    const auto linear = golden.json["linear"];
    const auto root = read_torch_file(golden.folder / linear["file"].get<std::string>()).root;
    EXPECT_EQ(root.dict()->find("epoch")->integer(), linear["epoch"].get<int64_t>());
    EXPECT_EQ(root.dict()->find("best_acc")->number(), linear["best_acc"].get<double>());
    const auto state = at_path(root, "state_dict");
    const auto expected =
        read_safetensors(golden.folder / linear["tensors"].get<std::string>()).tensors;
    EXPECT_EQ(state.dict()->items.size(), expected.size());
    for (const auto& [name, tensor] : expected) {
      ASSERT_NE(state.dict()->find(name), nullptr) << name;
      EXPECT_TENSOR_EQUAL(*state.dict()->find(name)->tensor(), tensor) << name;
    }
    golden.json.expect_all_read({"files", "resume"});
    ++files;
  }
  EXPECT_GT(files, 0);
}

}  // namespace
}  // namespace ibot::io
