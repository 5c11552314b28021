// What is evaluated: a checkpoint's network, an untrained one, or no network at all.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ibot-eval/eval_config.h"
#include "ibot/models/backbone.h"
#include "ibot/models/weights.h"

namespace ibot::apps {

struct WeightsArguments {
  std::string file;              // a file of weights, "random" or "pixels"
  std::string key = "teacher";   // which network of the file
  std::filesystem::path config;  // instead of the checkpoint's own configuration
  std::vector<std::string> overrides;
  /// Weights whose network and size of images "random" and "pixels" take where there is no config;
  /// `key` is then of this file. Empty: the defaults.
  std::string like;
  /// The file tells of the network's shape alone; its tensors are not loaded.
  bool only_shape = false;
};

struct Weights {
  EvalConfig config;
  /// In evaluation mode on the host; none where raw pixels are evaluated.
  std::shared_ptr<models::Backbone> backbone;
  /// The projection head by names below `head.`; empty where the file has none.
  std::map<std::string, torch::Tensor> head;
  /// Of the backbone's and of the head's tensors; "pixels" and "none" without.
  std::string backbone_hash = "pixels";
  std::string head_hash = "none";
};

/// Whether --weights says "random" or "pixels".
bool is_no_file(const std::string& weights);

/// Reads the weights and the configuration: that of the file, or where it has none the defaults
/// with the backbone that its tensors tell of. Throws RequestError where a file is missing or
/// refused or not of the configuration, and ConfigError.
Weights load_weights(const WeightsArguments& arguments);

/// The backbone's tensors as a file has them.
models::Weights backbone_tensors(const Weights& weights);

}  // namespace ibot::apps
