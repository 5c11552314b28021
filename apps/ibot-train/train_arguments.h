// The command line of ibot-train.
#pragma once

#include <CLI/App.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "ibot-train/pretrain.h"

namespace ibot::apps {

struct TrainArguments {
  std::vector<std::string> words;  // [CONFIG.yaml] [section.key=value ...]
  std::string output;              // empty: runs/ and the configuration's name
  std::string resume = "auto";
  std::string init_from;
  std::string init_key;
  std::string device;  // empty: train.device
  std::string explain;
  std::optional<int64_t> nproc;
  bool print_config = false;
  bool dry_run = false;
  bool json = false;
  bool list = false;
  std::string sweep_run;
  int64_t parallel = 1;
};

/// Arguments of `ibot-train compare`.
struct CompareArguments {
  std::vector<std::string> folders;
  std::string sort;
  bool csv = false;
};

void add_train_arguments(CLI::App& app, TrainArguments& arguments);

CLI::App* add_compare_command(CLI::App& app, CompareArguments& arguments);

/// The folder of the run or of the sweep.
std::filesystem::path output_of(const TrainArguments& arguments);

/// The requested runs, several for a sweep; every configuration is valid. Throws ConfigError.
std::vector<TrainRequest> train_requests(const TrainArguments& arguments);

}  // namespace ibot::apps
