// Checkpoints: one safetensors file that holds all a run needs to go on.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <map>
#include <string>

#include "ibot/train/run_state.h"

namespace ibot::train {

/// `tensors` are those of TrainStep::state and of the epoch's cluster table; `config` is the
/// resolved configuration as text, for programs to read.
struct Checkpoint {
  std::map<std::string, torch::Tensor> tensors;
  RunState run;
  std::string config;
};

/// Written beside, synced, renamed. Throws Error when the disk is full; the old file then stays.
void save_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);

/// Throws CheckpointError on a missing, damaged or foreign file and on one of a later version.
Checkpoint load_checkpoint(const std::filesystem::path& path);

/// What is needed to know about a file before its tensors are: `tensors` is empty.
Checkpoint load_checkpoint_header(const std::filesystem::path& path);

/// Makes `kept` another name of the file `last`, or a copy where the file system has no links.
void keep_checkpoint(const std::filesystem::path& last, const std::filesystem::path& kept);

}  // namespace ibot::train
