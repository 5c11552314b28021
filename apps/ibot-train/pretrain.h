// One pre-training run, from a request to an exit status.
#pragma once

#include <filesystem>
#include <string>

#include "ibot/config/run_config.h"
#include "ibot/dist/group.h"

namespace ibot::apps {

struct TrainRequest {
  config::RunConfig config;
  std::filesystem::path output;  // folder of the run
  std::string resume;            // "auto", "none" or the path of a checkpoint
  std::string init_from;         // file of initial weights; empty: random
  std::string init_key = "teacher";
  bool dry_run = false;
  bool quiet = false;  // no progress
};

/// The ranks that train together, and the device of this one.
struct Ranks {
  dist::Group group;
  torch::Device device = torch::kCPU;
};

/// Trains as requested and returns the exit status. Only rank 0 writes and displays. All ranks must
/// see the same files.
int pretrain(const TrainRequest& request, const Ranks& ranks);

}  // namespace ibot::apps
