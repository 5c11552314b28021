// Checkpoints: one safetensors file with everything a run needs to resume, and its manifest.
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

/// `tensors` are those of Loop::tensors; `config` is the resolved configuration as text; `source`
/// is the file it was read from; `identity` is what the run belongs to, empty if the configuration
/// says it.
struct Checkpoint {
  std::map<std::string, torch::Tensor> tensors;
  RunState run;
  std::string config;
  std::filesystem::path source = {};
  std::string identity = {};
};

/// Writes atomically, as io::write_file. Returns the file's digest. Throws Error if the disk is
/// full; the old file then stays.
io::FileDigest save_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);

/// Throws CheckpointError for a missing, damaged or foreign file and for one of a later version. If
/// the file has a manifest, its content is verified.
Checkpoint load_checkpoint(const std::filesystem::path& path);

/// Reads everything but the tensors: `tensors` is empty.
Checkpoint load_checkpoint_header(const std::filesystem::path& path);

/// The manifest of a checkpoint file: the same path with the extension .json.
std::filesystem::path manifest_of(const std::filesystem::path& file);

/// FOLDER/step-00001234.safetensors
std::filesystem::path step_file(const std::filesystem::path& folder, int64_t step);

/// A checkpoint, and the damage of those tried before it.
struct RestoredCheckpoint {
  Checkpoint checkpoint;
  std::vector<std::string> damaged;
};

/// The newest undamaged checkpoint of a folder: among those named by step, otherwise among the kept
/// ones, otherwise last.safetensors if no file has a manifest, as written by an earlier version;
/// nullopt for a folder without checkpoints. Throws CheckpointError if all are damaged, naming each
/// reason, and for a checkpoint of a later version.
std::optional<RestoredCheckpoint> restore_newest(const std::filesystem::path& folder);

}  // namespace ibot::train
