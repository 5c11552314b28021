// What a checkpoint consists of: written last, it says that the files it names are whole.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "ibot/io/file.h"

namespace ibot::train {

/// `step` and `samples` count what was trained on, over all ranks; `files` lie beside the manifest.
struct Manifest {
  int64_t step = 0;
  int64_t samples = 0;
  int64_t world_size = 1;
  std::string config_hash;
  std::string ibot_version;
  std::string commit;  // of the program; empty where that is not known
  std::map<std::string, io::FileDigest> files;
};

/// Written as JSON, whole or not at all. Throws Error as io::write_file does.
void write_manifest(const std::filesystem::path& path, const Manifest& manifest);

/// Throws CheckpointError on a file that is no manifest or one of a later version, and Error where
/// it cannot be read.
Manifest read_manifest(const std::filesystem::path& path);

/// The first thing wrong with the manifest or with the files that it names: missing, of another
/// size, of other content. Nothing when the checkpoint is whole. Throws CheckpointError on a
/// manifest of a later version, which is not damage.
std::optional<std::string> find_damage(const std::filesystem::path& manifest);

}  // namespace ibot::train
