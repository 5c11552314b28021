#include "ibot-model/model_file.h"

#include "common/config_of_weights.h"
#include "common/run_main.h"
#include "ibot/config/yaml.h"
#include "ibot/io/safetensors.h"
#include "ibot/io/torch_file.h"
#include "ibot/train/official_checkpoint.h"

namespace ibot::apps {
namespace {

void read_torch(ModelFile& file) {
  const auto content = io::read_torch_file(file.path);
  file.format = content.format == io::TorchFormat::kZip ? "pth (zip)" : "pth (legacy)";
  file.root = content.root;
  const auto* root = file.root.dict();
  IBOT_CHECK_AS(RequestError, root != nullptr, file.path.string(),
                ": expected a dict of tensors, got another value");
  for (const char* key : {"student", "teacher"}) {
    if (root->find(key) == nullptr) continue;
    file.networks.push_back(models::weights_of(file.root, file.path.string(), key));
  }
  if (file.networks.empty()) {
    file.networks.push_back(models::weights_of(file.root, file.path.string(), "teacher"));
    file.content = "weights of one network";
  } else {
    file.content = train::is_official_checkpoint(file.root) ? "official training checkpoint"
                                                            : "networks without optimiser";
  }
}

void read_own(ModelFile& file) {
  file.format = "safetensors";
  const auto metadata = io::read_safetensors_metadata(file.path);
  if (metadata.count("run") > 0) {
    file.checkpoint = train::load_checkpoint(file.path);
    file.content = "checkpoint of ibot-train";
    for (const char* key : {"student", "teacher"}) {
      file.networks.push_back(models::read_weights(file.path, key));
    }
  } else {
    file.networks.push_back(models::read_weights(file.path));
    file.content = "weights of one network";
  }
}

}  // namespace

ModelFile read_model_file(const std::filesystem::path& path) {
  return open_input([&] {
    ModelFile file{.path = path};
    io::is_torch_file(path) ? read_torch(file) : read_own(file);
    return file;
  });
}

const models::Weights& network_of(const ModelFile& file, const std::string& key) {
  for (const auto& weights : file.networks) {
    if (file.networks.size() == 1 || weights.key == key) return weights;
  }
  throw RequestError(concat(file.path.string(), ": expected the network ", key, ", found none"));
}

config::RunConfig config_of(const ModelFile& file, const std::vector<std::string>& overrides) {
  return open_input([&] {
    const auto& weights = file.networks.front();
    if (!weights.config.empty()) {
      return config::parse_config<config::RunConfig>(weights.config,
                                                     file.path.string() + " (config)", overrides);
    }
    return config::read_config<config::RunConfig>("", overrides_of_weights(weights, overrides));
  });
}

}  // namespace ibot::apps
