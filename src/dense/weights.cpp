#include "ibot/dense/weights.h"

#include "ibot/base/error.h"
#include "ibot/io/safetensors.h"
#include "ibot/io/torch_file.h"
#include "ibot/models/load_state.h"
#include "ibot/models/network.h"
#include "ibot/models/weights.h"

namespace ibot::dense {
namespace {

/// What other programs, and our own checkpoints, put before the names of a network.
constexpr std::string_view kWrapper = "module.", kInCheckpoint = "model.";
constexpr const char* kConfig = "config";

std::string bare(const std::string& name) {
  for (const auto& prefix : {kWrapper, kInCheckpoint}) {
    if (name.starts_with(prefix)) return name.substr(prefix.size());
  }
  return name;
}

/// The entry of a dict that is a dict itself; null without such.
const io::Dict* dict_in(const io::Dict& dict, const char* key) {
  const auto* value = dict.find(key);
  return value == nullptr ? nullptr : value->dict();
}

NetworkFile read_pth(const std::filesystem::path& path) {
  const auto content = io::read_torch_file(path);
  NetworkFile file{.source = path.string()};
  const auto* root = content.root.dict();
  IBOT_CHECK_AS(CheckpointError, root != nullptr, file.source, ": expected a dict of tensors, got ",
                io::kind_of(content.root));
  if (const auto* own = dict_in(*root, "ibot")) {
    const auto* config = own->find(kConfig);
    if (config != nullptr && config->text() != nullptr) file.config = *config->text();
  }
  const auto* state = dict_in(*root, "state_dict");
  // A dict without "state_dict" is taken for the state itself.
  for (const auto& [key, value] : (state == nullptr ? root : state)->items) {
    if (key.text() == nullptr || value.tensor() == nullptr) continue;
    file.tensors.emplace(bare(*key.text()), *value.tensor());
  }
  return file;
}

NetworkFile read_own(const std::filesystem::path& path) {
  // A checkpoint holds the optimizer's moments beside the network.
  auto content = io::read_safetensors(path, std::string(kInCheckpoint));
  if (content.tensors.empty()) content = io::read_safetensors(path);
  NetworkFile file{.source = path.string()};
  for (const auto& [name, tensor] : content.tensors) file.tensors.emplace(bare(name), tensor);
  const auto config = content.metadata.find(kConfig);
  if (config != content.metadata.end()) file.config = config->second;
  return file;
}

}  // namespace

NetworkFile read_network(const std::filesystem::path& path) {
  auto file = io::is_torch_file(path) ? read_pth(path) : read_own(path);
  IBOT_CHECK_AS(CheckpointError, !file.tensors.empty(), file.source,
                ": expected tensors of a network, found none");
  return file;
}

void write_network(const std::filesystem::path& path, const NetworkFile& file) {
  if (path.extension() != ".pth") {
    io::Safetensors content{.tensors = file.tensors, .metadata = {{"format", "pt"}}};
    if (!file.config.empty()) content.metadata[kConfig] = file.config;
    io::write_safetensors(path, content);
    return;
  }
  // As mmcv's save_checkpoint: meta and an ordered state_dict.
  io::Dict state{{}, "collections.OrderedDict"};
  for (const auto& [name, tensor] : file.tensors) state.items.emplace_back(name, tensor);
  io::Dict root{{{"meta", io::Dict{{}, ""}}, {"state_dict", state}}, ""};
  if (!file.config.empty()) root.items.emplace_back("ibot", io::Dict{{{kConfig, file.config}}, ""});
  io::write_torch_file(path, root);
}

NetworkFile network_file(const torch::nn::Module& network, const std::string& config) {
  NetworkFile file{.config = config};
  for (const auto& [name, tensor] : models::named_state(network)) {
    file.tensors.emplace(name, tensor.detach().to(torch::kCPU));
  }
  return file;
}

void load_network_(torch::nn::Module& network, const NetworkFile& file) {
  std::map<std::string, torch::Tensor> own, stored;
  for (const auto& [name, tensor] : models::named_state(network)) {
    // Indices and masks follow from the options.
    if (!models::is_derived(name)) own.emplace(name, tensor);
  }
  for (const auto& [name, tensor] : file.tensors) {
    if (!models::is_derived(name)) stored.emplace(name, tensor);
  }
  try {
    models::load_state_(own, stored);
  } catch (const CheckpointError& error) {
    throw CheckpointError(concat(file.source, ": ", error.what(),
                                 "; expected the network that the options describe"));
  }
}

}  // namespace ibot::dense
