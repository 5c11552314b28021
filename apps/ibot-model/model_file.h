// A file of weights of any supported kind.
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
  std::string format;                                  // "safetensors", "pth (zip)", "pth (legacy)"
  std::string content;                                 // "checkpoint of ibot-train", …
  std::vector<models::Weights> networks;               // student and teacher, or the only one
  std::vector<models::LinearClassifiers> classifiers;  // at most one set
  io::Value root;                                      // of a .pth
  std::optional<train::Checkpoint> checkpoint;         // ours, including tensors
};

/// Reads the file; `key` names the network if it is neither student nor teacher. Throws
/// RequestError if the file is missing or refused.
ModelFile read_model_file(const std::filesystem::path& path, const std::string& key = "teacher");

/// The network `key` of the file, or its only one. Throws RequestError.
const models::Weights& network_of(const ModelFile& file, const std::string& key);

/// The configuration stored in the file, or recovered from its tensors and arguments. Throws
/// RequestError if they do not suffice.
config::RunConfig config_of(const ModelFile& file, const std::vector<std::string>& overrides = {});

/// Returns `weights` after checking that they are complete. Throws RequestError naming missing
/// tensors.
const models::Weights& whole(const models::Weights& weights);

}  // namespace ibot::apps
