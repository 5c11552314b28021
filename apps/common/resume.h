// The checkpoint from which a run resumes.
#pragma once

#include <filesystem>
#include <optional>

#include "ibot/train/checkpoint.h"

namespace ibot::apps {

/// The newest undamaged checkpoint of a folder; nullopt if it has none. Damaged ones that were
/// skipped are logged. Throws CheckpointError if all are damaged.
std::optional<train::Checkpoint> newest_checkpoint(const std::filesystem::path& folder);

}  // namespace ibot::apps
