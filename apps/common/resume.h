// Where a run goes on.
#pragma once

#include <filesystem>
#include <optional>

#include "ibot/train/checkpoint.h"

namespace ibot::apps {

/// The newest checkpoint of a folder that is whole, none in a folder without; damaged ones that are
/// passed over are named in the log. Throws CheckpointError where all are damaged.
std::optional<train::Checkpoint> newest_checkpoint(const std::filesystem::path& folder);

}  // namespace ibot::apps
