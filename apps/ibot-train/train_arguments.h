// The command line of ibot-train.
#pragma once

#include <CLI/App.hpp>
#include <optional>
#include <string>
#include <vector>

#include "ibot-train/pretrain.h"

namespace ibot::apps {

struct TrainArguments {
  std::vector<std::string> words;  // [CONFIG.yaml] [section.key=value ...]
  std::string output;
  std::string resume = "auto";
  std::string init_from;
  std::string init_key = "teacher";
  std::string explain;
  std::optional<int64_t> nproc;
  bool print_config = false;
  bool dry_run = false;
  bool quiet = false;
};

void add_train_arguments(CLI::App& app, TrainArguments& arguments);

/// The requested runs, several if an override is a set in braces; every configuration is validated
/// before the first run begins. Throws ConfigError.
std::vector<TrainRequest> train_requests(const TrainArguments& arguments);

}  // namespace ibot::apps
