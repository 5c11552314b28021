// The classifiers of a linear probe in a file.
#pragma once

#include <filesystem>
#include <optional>

#include "common/identity.h"
#include "ibot/eval/linear_probe.h"

namespace ibot::apps {

/// OUT/linear.safetensors: all classifiers, for `linear --classifier` and other programs.
void write_classifiers(const std::filesystem::path& file, const eval::LinearProbe& probe,
                       const Identity& identity);

/// Where a probe of a former version stands, which kept that file alone; none where there is none.
/// Throws CheckpointError where it is damaged.
std::optional<train::Checkpoint> read_former_probe(const std::filesystem::path& file,
                                                   int64_t steps_per_epoch);

}  // namespace ibot::apps
