// One pre-training run, from a request to an exit status.
#pragma once

#include <filesystem>
#include <string>

#include "ibot/config/run_config.h"

namespace ibot::apps {

struct TrainRequest {
  config::RunConfig config;
  std::filesystem::path output;  // folder of the run
  std::string resume;            // "auto", "none" or the path of a checkpoint
  std::string init_from;         // a file of weights to begin with; empty: random ones
  std::string init_key = "teacher";
  bool dry_run = false;
  bool quiet = false;  // no progress
};

/// Trains as asked and returns the exit status.
int pretrain(const TrainRequest& request);

}  // namespace ibot::apps
