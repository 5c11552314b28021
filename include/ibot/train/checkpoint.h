// Checkpoints: one safetensors file that holds all a run needs to go on, and its manifest.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ibot/io/file.h"
#include "ibot/train/run_state.h"

namespace ibot::train {

/// `tensors` are those of Loop::tensors; `config` is the resolved configuration as text, for
/// programs to read; `source` is the file it was read from; `identity` is what the run belongs to,
/// empty where its configuration says it.
struct Checkpoint {
  std::map<std::string, torch::Tensor> tensors;
  RunState run;
  std::string config;
  std::filesystem::path source = {};
  std::string identity = {};
};

/// Written beside, synced, renamed. Returns the file's digest. Throws Error when the disk is full;
/// the old file then stays.
io::FileDigest save_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);

/// Throws CheckpointError on a missing, damaged or foreign file and on one of a later version; a
/// manifest beside the file, where there is one, tells of any damage.
Checkpoint load_checkpoint(const std::filesystem::path& path);

/// What is needed to know about a file before its tensors are: `tensors` is empty.
Checkpoint load_checkpoint_header(const std::filesystem::path& path);

/// The manifest that belongs to a file of the same folder: its name with the ending .json.
std::filesystem::path manifest_of(const std::filesystem::path& file);

/// FOLDER/step-00001234.safetensors
std::filesystem::path step_file(const std::filesystem::path& folder, int64_t step);

/// A checkpoint, and what was wrong with those that were tried before it.
struct RestoredCheckpoint {
  Checkpoint checkpoint;
  std::vector<std::string> damaged;
};

/// The newest checkpoint of a folder that is whole: of those named by step, else of the kept ones,
/// else last.safetensors where no file has a manifest, as an earlier version wrote it; nothing in a
/// folder without checkpoints. Throws CheckpointError where all are damaged, naming each reason,
/// and on a checkpoint of a later version.
std::optional<RestoredCheckpoint> restore_newest(const std::filesystem::path& folder);

}  // namespace ibot::train
