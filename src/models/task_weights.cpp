#include "ibot/models/task_weights.h"

#include <algorithm>

#include "ibot/base/error.h"
#include "ibot/io/safetensors.h"
#include "ibot/io/torch_file.h"
#include "ibot/models/load_state.h"
#include "ibot/models/weights.h"

namespace ibot::models {
namespace {

constexpr const char* kHeads[] = {"roi_head.", "rpn_head.", "decode_head."};
constexpr const char* kTrained = "model.";  // of a checkpoint of training
constexpr const char* kWrapper = "module.";
constexpr const char* kBatches = "num_batches_tracked";

bool has_head(const std::map<std::string, torch::Tensor>& tensors) {
  return std::any_of(std::begin(kHeads), std::end(kHeads), [&](const std::string& head) {
    const auto first = tensors.lower_bound(head);
    return first != tensors.end() && first->first.starts_with(head);
  });
}

std::map<std::string, torch::Tensor> tensors_in(const io::Dict& dict) {
  std::map<std::string, torch::Tensor> tensors;
  for (const auto& [name, value] : dict.items) {
    if (name.text() == nullptr || value.tensor() == nullptr) continue;
    const bool wrapped = name.text()->starts_with(kWrapper);
    tensors[wrapped ? name.text()->substr(std::string(kWrapper).size()) : *name.text()] =
        *value.tensor();
  }
  return tensors;
}

TaskWeights of_torch_file(const std::filesystem::path& path) {
  const auto file = io::read_torch_file(path);
  TaskWeights weights{.source = path.string()};
  const auto* root = file.root.dict();
  if (root == nullptr) return weights;
  const auto* inner = root->find("state_dict");
  weights.tensors =
      tensors_in(inner != nullptr && inner->dict() != nullptr ? *inner->dict() : *root);
  const auto* own = root->find("ibot");
  const auto* config =
      own == nullptr || own->dict() == nullptr ? nullptr : own->dict()->find("config");
  if (config != nullptr && config->text() != nullptr) weights.config = *config->text();
  return weights;
}

TaskWeights of_safetensors(const std::filesystem::path& path) {
  TaskWeights weights{.source = path.string()};
  auto content = io::read_safetensors(path, kTrained);
  const std::string prefix = content.tensors.empty() ? "" : kTrained;
  if (content.tensors.empty()) content = io::read_safetensors(path);
  for (const auto& [name, tensor] : content.tensors) {
    weights.tensors[name.substr(prefix.size())] = tensor;
  }
  weights.config = content.metadata["config"];
  return weights;
}

/// Neither learned nor needed.
bool is_computed(const std::string& name) { return is_derived(name) || name.ends_with(kBatches); }

}  // namespace

std::optional<TaskWeights> read_task_weights(const std::filesystem::path& path) {
  if (is_shard_index(path)) return std::nullopt;
  auto weights = io::is_torch_file(path) ? of_torch_file(path) : of_safetensors(path);
  if (!has_head(weights.tensors)) return std::nullopt;
  return weights;
}

void write_task_weights(const std::filesystem::path& path, const TaskWeights& weights) {
  if (path.extension() != ".pth") {
    io::Safetensors file{.tensors = weights.tensors, .metadata = {{"format", "pt"}}};
    if (!weights.config.empty()) file.metadata["config"] = weights.config;
    return io::write_safetensors(path, file);
  }
  io::Dict state{{}, "collections.OrderedDict"};
  for (const auto& [name, tensor] : weights.tensors) state.items.emplace_back(name, tensor);
  io::Dict root{{{"meta", io::Dict{}}, {"state_dict", state}}, ""};
  if (!weights.config.empty()) {
    root.items.emplace_back("ibot", io::Dict{{{"config", weights.config}}, ""});
  }
  io::write_torch_file(path, root);
}

void load_task_weights_(const std::map<std::string, torch::Tensor>& own,
                        const TaskWeights& weights) {
  auto stored = weights.tensors;
  std::erase_if(stored, [&](const auto& item) {
    return is_computed(item.first) && own.count(item.first) == 0;
  });
  for (const auto& [name, tensor] : own) {
    if (is_computed(name)) stored.emplace(name, tensor);
  }
  try {
    load_state_(own, stored);
  } catch (const CheckpointError& error) {
    throw CheckpointError(concat(weights.source, ": ", error.what()));
  }
}

}  // namespace ibot::models
