#include "ibot/train/checkpoint.h"

#include <algorithm>
#include <cstdio>
#include <tuple>

#include "ibot/base/error.h"
#include "ibot/base/version.h"
#include "ibot/io/file.h"
#include "ibot/io/safetensors.h"
#include "ibot/train/manifest.h"

namespace ibot::train {
namespace {

constexpr const char* kFormat = "ibot-checkpoint";
constexpr int kFormatVersion = 1;

/// Checks format and version; returns the parts stored in the metadata.
Checkpoint parse_header(const std::filesystem::path& path,
                        const std::map<std::string, std::string>& metadata) {
  const auto entry = [&](const char* key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? std::string() : found->second;
  };
  IBOT_CHECK_AS(CheckpointError, entry("format") == kFormat, path.string(),
                ": expected a checkpoint of ibot-train, got another safetensors file; use its "
                "weights with --init-from");
  const auto version = entry("format_version");
  // Metadata of safetensors are texts.
  IBOT_CHECK_AS(CheckpointError, version == std::to_string(kFormatVersion), path.string(),
                ": expected checkpoint version ", kFormatVersion, ", got ",
                version.empty() ? "none" : version, " written by ibot ", entry("ibot_version"),
                "; install that version of ibot or a later one");
  return {.tensors = {},
          .run = RunState::from_json(entry("run")),
          .config = entry("config"),
          .source = path,
          .identity = entry("identity")};
}

void check_exists(const std::filesystem::path& path) {
  IBOT_CHECK_AS(CheckpointError, std::filesystem::is_regular_file(path), path.string(),
                ": expected a checkpoint, found no such file");
}

/// Manifests of a folder in the order in which they are tried: those named by step first, since
/// kept ones may be left from another run; newest first.
std::vector<std::filesystem::path> candidates(const std::filesystem::path& folder) {
  struct Candidate {
    bool by_step;
    int64_t step;
    std::filesystem::path path;
  };
  std::vector<Candidate> found;
  std::error_code absent;
  for (const auto& entry : std::filesystem::directory_iterator(folder, absent)) {
    const auto& path = entry.path();
    if (path.extension() != ".json") continue;
    long long step = 0;
    const bool by_step = std::sscanf(path.stem().c_str(), "step-%lld", &step) == 1;
    if (!by_step) {
      try {
        step = read_manifest(path).step;
      } catch (const Error&) {
        step = -1;  // tried last, when find_damage() reports the reason
      }
    }
    found.push_back({by_step, step, path});
  }
  std::sort(found.begin(), found.end(), [](const Candidate& a, const Candidate& b) {
    // The path decides between equal steps, so that every rank tries the same one.
    return std::tuple(a.by_step, a.step, a.path) > std::tuple(b.by_step, b.step, b.path);
  });
  std::vector<std::filesystem::path> paths;
  for (auto& candidate : found) paths.push_back(std::move(candidate.path));
  return paths;
}

/// The checkpoint file that a manifest is named after.
std::filesystem::path file_of(const std::filesystem::path& manifest) {
  return std::filesystem::path(manifest).replace_extension(".safetensors");
}

/// As load_checkpoint, for a file already verified or without a manifest.
Checkpoint load_whole(const std::filesystem::path& path) {
  check_exists(path);
  auto content = io::read_safetensors(path);
  auto checkpoint = parse_header(path, content.metadata);
  checkpoint.tensors = std::move(content.tensors);
  return checkpoint;
}

}  // namespace

io::FileDigest save_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint) {
  std::map<std::string, std::string> metadata{{"format", kFormat},
                                              {"format_version", std::to_string(kFormatVersion)},
                                              {"ibot_version", kVersion},
                                              {"run", checkpoint.run.to_json()},
                                              {"config", checkpoint.config}};
  if (!checkpoint.identity.empty()) metadata["identity"] = checkpoint.identity;
  return io::write_safetensors(path,
                               {.tensors = checkpoint.tensors, .metadata = std::move(metadata)});
}

Checkpoint load_checkpoint(const std::filesystem::path& path) {
  check_exists(path);
  const auto manifest = manifest_of(path);
  if (std::filesystem::exists(manifest)) {
    // Checked against its digest before anything is taken from it.
    const auto damage = find_damage(manifest);
    IBOT_CHECK_AS(CheckpointError, !damage, *damage);
  }
  return load_whole(path);
}

Checkpoint load_checkpoint_header(const std::filesystem::path& path) {
  check_exists(path);
  return parse_header(path, io::read_safetensors_metadata(path));
}

std::filesystem::path manifest_of(const std::filesystem::path& file) {
  return std::filesystem::path(file).replace_extension(".json");
}

std::filesystem::path step_file(const std::filesystem::path& folder, int64_t step) {
  char name[48];
  std::snprintf(name, sizeof name, "step-%08lld.safetensors", static_cast<long long>(step));
  return folder / name;
}

std::optional<RestoredCheckpoint> restore_newest(const std::filesystem::path& folder) {
  const auto manifests = candidates(folder);
  const auto last = folder / "last.safetensors";
  if (manifests.empty()) {
    // Versions before manifests wrote last.safetensors without one.
    if (!std::filesystem::exists(last)) return std::nullopt;
    return RestoredCheckpoint{load_whole(last), {}};
  }
  std::vector<std::string> damaged;
  for (const auto& manifest : manifests) {
    if (auto damage = find_damage(manifest)) {
      damaged.push_back(*std::move(damage));
      continue;
    }
    return RestoredCheckpoint{load_whole(file_of(manifest)), std::move(damaged)};
  }
  std::string reasons;
  for (const auto& damage : damaged) reasons += (reasons.empty() ? "" : ", ") + damage;
  throw CheckpointError(concat(folder.string(), ": all ", damaged.size(),
                               " checkpoints are damaged: ", reasons,
                               "; use --resume none to start over"));
}

}  // namespace ibot::train
