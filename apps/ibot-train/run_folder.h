// The folder of one run.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "ibot-train/pretrain.h"
#include "ibot/train/checkpoint.h"

namespace ibot::apps {

/// Creates OUT and OUT/checkpoints and checks that files can be written there. Throws RequestError
/// with the system's reason.
void prepare_output(const std::filesystem::path& output);

/// Writes OUT/config.yaml, with which the run can be repeated.
void write_resolved_config(const TrainRequest& request);

/// The checkpoint that `request.resume` asks for: none for "none", the last one of the folder if it
/// is there for "auto", else the file of that name.
///
/// Throws RequestError when the file is missing or damaged, and when the configuration that wrote
/// it differs from the request's in a key that changes results, naming every such key. Another
/// number of ranks changes none as long as all ranks together have the same batch.
std::optional<train::Checkpoint> find_checkpoint(const TrainRequest& request, int64_t ranks);

}  // namespace ibot::apps
