// Recovers from weights the configuration that builds their networks.
#pragma once

#include <string>
#include <vector>

#include "ibot/config/run_config.h"
#include "ibot/io/torch_value.h"
#include "ibot/models/weights.h"

namespace ibot::apps {

/// Overrides, `section.key=value`, for a file without configuration: backbone and head inferred
/// from shapes, then the official arguments if it has them, then `overrides`, whose backbone.heads
/// is used where shapes do not determine it. Throws CheckpointError.
std::vector<std::string> overrides_of_weights(const models::Weights& weights,
                                              const std::vector<std::string>& overrides);

/// The part of these that the official arguments give.
std::vector<std::string> overrides_of_arguments(const models::Weights& weights);

/// The arguments of the official program that correspond to `config`.
io::Dict official_arguments(config::RunConfig config);

}  // namespace ibot::apps
