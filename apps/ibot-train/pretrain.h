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
  std::string init_from = {};  // train.init_from as the user states it, once the request is settled
  bool dry_run = false;
  bool json = false;       // the dry run's figures for machines
  std::string name = {};   // of a run of a sweep; otherwise empty
  std::string swept = {};  // its values: "optim.lr=0.001 train.seed=1"
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
