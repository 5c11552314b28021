// The folder of one run.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "ibot-train/pretrain.h"
#include "ibot/train/checkpoint.h"
#include "ibot/train/step.h"

namespace ibot::apps {

/// Creates OUT and OUT/checkpoints and checks that files can be written there. Throws RequestError
/// with the system's reason.
void prepare_output(const std::filesystem::path& output);

/// Performs the checks of prepare_output and FolderLock and leaves nothing behind: for a dry run.
void check_output(const std::filesystem::path& output);

/// Writes OUT/config.yaml, which reproduces the run.
void write_resolved_config(const TrainRequest& request);

/// Whether the key belongs to an evaluation, which does not affect training.
bool is_evaluation_key(const std::string& key);

/// Whether OUT/checkpoints holds any.
bool holds_checkpoint(const std::filesystem::path& output);

/// "optim.lr 0.001 -> 0.002" for each key that differs and changes results; empty if none does.
/// Initial weights do not count: they have no part in a run that goes on.
std::string differing_keys(const config::RunConfig& before, const config::RunConfig& now);

/// The checkpoint requested by `request.resume`: none for "none"; for "auto" the newest undamaged
/// one of the folder, if any; otherwise the file of that name, which may be one of the official
/// program, read for `step`. Damaged ones that were skipped are logged.
///
/// Throws RequestError if the file, or every checkpoint of the folder, is missing or damaged, and
/// if the configuration that wrote it differs from the request in keys that change results, naming
/// them all. The number of ranks does not count as long as the global batch is the same.
std::optional<train::Checkpoint> find_checkpoint(const TrainRequest& request,
                                                 const train::TrainStep& step);

}  // namespace ibot::apps
