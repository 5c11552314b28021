// Recovers from weights the configuration that builds their networks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ibot/config/run_config.h"
#include "ibot/io/torch_value.h"
#include "ibot/models/weights.h"

namespace ibot::apps {

/// Overrides, `section.key=value`, for a file without configuration: backbone, head and the size of
/// evaluation images, if the network learned at less than the usual one, inferred from shapes, then
/// the official arguments if it has them, then `overrides`, whose backbone.heads is used where
/// shapes do not determine it. Throws CheckpointError.
std::vector<std::string> overrides_of_weights(const models::Weights& weights,
                                              const std::vector<std::string>& overrides);

/// The number of heads that overrides_of_weights() takes where nothing tells it: shapes, official
/// arguments, `overrides` and the table of presets do not. nullopt if something does.
std::optional<int64_t> guessed_heads(const models::Weights& weights,
                                     const std::vector<std::string>& overrides);

/// The part of these that the official arguments give.
std::vector<std::string> overrides_of_arguments(const models::Weights& weights);

/// The arguments of the official program that correspond to `config`.
io::Dict official_arguments(config::RunConfig config);

}  // namespace ibot::apps
