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

/// Checks what prepare_output and FolderLock would, and leaves nothing behind: for a dry run.
void check_output(const std::filesystem::path& output);

/// Writes OUT/config.yaml, with which the run can be repeated.
void write_resolved_config(const TrainRequest& request);

/// "optim.lr 0.001 -> 0.002" for each key that differs and changes results; empty where none does.
std::string differing_keys(const config::RunConfig& before, const config::RunConfig& now);

/// The checkpoint that `request.resume` asks for: none for "none", the newest of the folder that is
/// whole if there is one for "auto", else the file of that name, which may be the official
/// program's, read for `step`. Damaged ones that are passed over
/// are named in the log.
///
/// Throws RequestError when the file is missing or damaged, or all of the folder's are, and when
/// the configuration that wrote it differs from the request's in a key that changes results, naming
/// every such key. Another number of ranks changes none as long as all ranks together have the same
/// batch.
std::optional<train::Checkpoint> find_checkpoint(const TrainRequest& request,
                                                 const train::TrainStep& step);

}  // namespace ibot::apps
