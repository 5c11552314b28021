// The manifest of a checkpoint. It is written last: its existence implies that its files are whole.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "ibot/io/file.h"

namespace ibot::train {

/// `step` and `samples` count training over all ranks; `files` are in the folder of the manifest.
struct Manifest {
  int64_t step = 0;
  int64_t samples = 0;
  int64_t world_size = 1;
  std::string config_hash;
  std::string ibot_version;
  std::string commit;  // of the program; empty if unknown
  std::map<std::string, io::FileDigest> files;
};

/// Writes JSON, atomically. Throws Error as io::write_file does.
void write_manifest(const std::filesystem::path& path, const Manifest& manifest);

/// Throws CheckpointError for a file that is not a manifest or is of a later version, and Error if
/// it cannot be read.
Manifest read_manifest(const std::filesystem::path& path);

/// The first damage of the manifest or its files: missing, of another size, of other content;
/// nullopt if the checkpoint is whole. Throws CheckpointError for a manifest of a later version,
/// which is not damage.
std::optional<std::string> find_damage(const std::filesystem::path& manifest);

}  // namespace ibot::train
