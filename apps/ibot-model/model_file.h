// A file of weights, whatever it holds.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "ibot/config/run_config.h"
#include "ibot/io/torch_value.h"
#include "ibot/models/linear_classifiers.h"
#include "ibot/models/weights.h"
#include "ibot/train/checkpoint.h"

namespace ibot::apps {

struct ModelFile {
  std::filesystem::path path;
  std::string format;                     // "safetensors", "pth (zip)", "pth (legacy)"
  std::string content;                    // "checkpoint of ibot-train", …
  std::vector<models::Weights> networks;  // student and teacher, or the one that is there
  std::vector<models::LinearClassifiers> classifiers;  // one set, where the file holds them
  io::Value root;                                      // of a .pth
  std::optional<train::Checkpoint> checkpoint;         // of ours, its tensors too
};

/// Reads the file; of one whose network lies under another key than student and teacher the network
/// `key`. Throws RequestError where it is missing or refused.
ModelFile read_model_file(const std::filesystem::path& path, const std::string& key = "teacher");

/// The network `key` of the file, or its only one. Throws RequestError.
const models::Weights& network_of(const ModelFile& file, const std::string& key);

/// The configuration that the file holds, or that its tensors and arguments tell of. Throws
/// RequestError where they do not suffice.
config::RunConfig config_of(const ModelFile& file, const std::vector<std::string>& overrides = {});

/// `weights`, which are of the file, checked to be whole. Throws RequestError naming the tensors
/// that it lacks.
const models::Weights& whole(const models::Weights& weights);

}  // namespace ibot::apps
