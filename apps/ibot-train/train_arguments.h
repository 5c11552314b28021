// The command line of ibot-train.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "ibot-train/pretrain.h"

namespace ibot::apps {

struct TrainArguments {
  std::vector<std::string> words;  // [CONFIG.yaml] [section.key=value ...]
  std::string output;
  std::string resume = "auto";
  std::string explain;
  bool print_config = false;
  bool dry_run = false;
  bool quiet = false;
};

void add_train_arguments(CLI::App& app, TrainArguments& arguments);

/// The run that was asked for, its configuration checked. Throws ConfigError.
TrainRequest train_request(const TrainArguments& arguments);

}  // namespace ibot::apps
