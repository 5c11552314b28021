#include "ibot/train/checkpoint.h"

#include "ibot/base/error.h"
#include "ibot/base/version.h"
#include "ibot/io/file.h"
#include "ibot/io/safetensors.h"

namespace ibot::train {
namespace {

constexpr const char* kFormat = "ibot-checkpoint";
constexpr int kFormatVersion = 1;

/// Checks the format and its version; returns the parts that lie in the metadata.
Checkpoint parse_header(const std::filesystem::path& path,
                        const std::map<std::string, std::string>& metadata) {
  const auto entry = [&](const char* key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? std::string() : found->second;
  };
  IBOT_CHECK_AS(CheckpointError, entry("format") == kFormat, path.string(),
                ": expected a checkpoint of ibot-train, got another safetensors file");
  const auto version = entry("format_version");
  IBOT_CHECK_AS(CheckpointError, version == std::to_string(kFormatVersion), path.string(),
                ": expected checkpoint version ", kFormatVersion, ", got ",
                version.empty() ? "none" : version, " written by ibot ", entry("ibot_version"),
                "; install that version of ibot or a later one");
  return {.tensors = {}, .run = RunState::from_json(entry("run")), .config = entry("config")};
}

void check_exists(const std::filesystem::path& path) {
  IBOT_CHECK_AS(CheckpointError, std::filesystem::is_regular_file(path), path.string(),
                ": expected a checkpoint, found no such file");
}

}  // namespace

void save_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint) {
  io::write_safetensors(path, {.tensors = checkpoint.tensors,
                               .metadata = {{"format", kFormat},
                                            {"format_version", std::to_string(kFormatVersion)},
                                            {"ibot_version", kVersion},
                                            {"run", checkpoint.run.to_json()},
                                            {"config", checkpoint.config}}});
}

Checkpoint load_checkpoint(const std::filesystem::path& path) {
  check_exists(path);
  auto content = io::read_safetensors(path);
  auto checkpoint = parse_header(path, content.metadata);
  checkpoint.tensors = std::move(content.tensors);
  return checkpoint;
}

Checkpoint load_checkpoint_header(const std::filesystem::path& path) {
  check_exists(path);
  return parse_header(path, io::read_safetensors_metadata(path));
}

void keep_checkpoint(const std::filesystem::path& last, const std::filesystem::path& kept) {
  std::error_code unsupported;
  std::filesystem::remove(kept);
  std::filesystem::create_hard_link(last, kept, unsupported);
  if (unsupported) io::write_file(kept, io::read_file(last));
}

}  // namespace ibot::train
