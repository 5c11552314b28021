// What a run reads before its first step.
#pragma once

#include <memory>
#include <optional>

#include "ibot-train/in_run_evaluations.h"
#include "ibot/config/run_config.h"
#include "ibot/data/dataset.h"
#include "ibot/train/checkpoint.h"

namespace ibot::apps {

/// The images of data.path. Throws ConfigError without a path, RequestError if they cannot be read.
std::unique_ptr<data::Dataset> open_images(const config::RunConfig& config);

/// The evaluations of the run; nullptr if there are none. Throws RequestError.
std::unique_ptr<InRunEvaluations> open_evaluations(const config::RunConfig& config);

/// Steps per epoch; a resumed run keeps the number it started with. The reference pads to equal
/// numbers of samples per rank, so with the same global batch another number of ranks may give one
/// step more or less. Throws RequestError if a rank has fewer images than a batch.
int64_t steps_of_epoch(const data::Dataset& images, const config::RunConfig& config, int64_t ranks,
                       const std::optional<train::Checkpoint>& checkpoint);

}  // namespace ibot::apps
