#include "ibot-model/model_file.h"

#include "common/config_of_weights.h"
#include "common/run_main.h"
#include "ibot/config/yaml.h"
#include "ibot/io/safetensors.h"
#include "ibot/io/torch_file.h"
#include "ibot/train/official_checkpoint.h"

namespace ibot::apps {
namespace {

constexpr const char* kClassifiers = "linear classifiers";

bool is_side(const std::string& key) { return key == "student" || key == "teacher"; }

/// Classifiers of a sweep are stored alone or next to the backbone that they were trained on.
void read_network_beside(ModelFile& file, const std::string& key) {
  try {
    file.networks.push_back(models::weights_of(file.root, file.path.string(), key));
    file.content = concat(kClassifiers, " and their network");
  } catch (const CheckpointError&) {
    file.content = kClassifiers;
  }
}

void read_torch(ModelFile& file, const std::string& wanted) {
  const auto content = io::read_torch_file(file.path);
  file.format = content.format == io::TorchFormat::kZip ? "pth (zip)" : "pth (legacy)";
  file.root = content.root;
  const auto* root = file.root.dict();
  IBOT_CHECK_AS(RequestError, root != nullptr, file.path.string(),
                ": expected a dict of tensors, got ", io::kind_of(file.root));
  if (auto found = models::classifiers_of(file.root, file.path.string())) {
    file.classifiers.push_back(*std::move(found));
    return read_network_beside(file, wanted);
  }
  for (const char* key : {"student", "teacher"}) {
    if (root->find(key) == nullptr || !is_side(wanted)) continue;
    file.networks.push_back(models::weights_of(file.root, file.path.string(), key));
  }
  if (file.networks.empty()) {
    file.networks.push_back(models::weights_of(file.root, file.path.string(), wanted));
    file.content = "weights of one network";
  } else {
    file.content = train::is_official_checkpoint(file.root) ? "official training checkpoint"
                                                            : "networks without optimizer";
  }
}

void read_own(ModelFile& file, const std::string& wanted) {
  file.format = "safetensors";
  const auto metadata = io::read_safetensors_metadata(file.path);
  if (metadata.count("run") > 0) {
    file.checkpoint = train::load_checkpoint(file.path);
    file.content = "checkpoint of ibot-train";
    for (const char* key : {"student", "teacher"}) {
      file.networks.push_back(models::read_weights(file.path, key));
    }
  } else if (auto found = models::read_classifiers(file.path)) {
    file.classifiers.push_back(*std::move(found));
    file.content = kClassifiers;
  } else {
    file.networks.push_back(models::read_weights(file.path, wanted));
    file.content = "weights of one network";
  }
}

void read_index(ModelFile& file, const std::string& wanted) {
  file.format = "shards";
  file.networks.push_back(models::read_weights(file.path, wanted));
  file.content = "weights of one network";
}

}  // namespace

ModelFile read_model_file(const std::filesystem::path& path, const std::string& key) {
  return open_input([&] {
    ModelFile file{.path = path};
    if (models::is_shard_index(path)) {
      read_index(file, key);
    } else {
      io::is_torch_file(path) ? read_torch(file, key) : read_own(file, key);
    }
    return file;
  });
}

const models::Weights& network_of(const ModelFile& file, const std::string& key) {
  IBOT_CHECK_AS(RequestError, !file.networks.empty(), file.path.string(),
                ": expected a network, got ", file.content);
  for (const auto& weights : file.networks) {
    if (file.networks.size() == 1 || weights.key == key) return weights;
  }
  throw RequestError(concat(file.path.string(), ": expected the network ", key, ", found none"));
}

config::RunConfig config_of(const ModelFile& file, const std::vector<std::string>& overrides) {
  return open_input([&] {
    const auto& weights = network_of(file, "teacher");
    if (!weights.config.empty()) {
      return config::parse_config<config::RunConfig>(weights.config,
                                                     file.path.string() + " (config)", overrides);
    }
    return config::read_config<config::RunConfig>("", overrides_of_weights(weights, overrides));
  });
}

const models::Weights& whole(const models::Weights& weights) {
  const auto missing = open_input([&] { return models::missing_tensors(weights); });
  std::string names;
  for (const auto& name : missing) names += (names.empty() ? "" : ", ") + name;
  IBOT_CHECK_AS(RequestError, missing.empty(), weights.source,
                ": expected a whole network, found none of ", names, "; nothing was written");
  return weights;
}

}  // namespace ibot::apps
