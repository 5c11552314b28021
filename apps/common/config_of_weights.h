// From weights to the configuration that builds their networks.
#pragma once

#include <string>
#include <vector>

#include "ibot/config/run_config.h"
#include "ibot/io/torch_value.h"
#include "ibot/models/weights.h"

namespace ibot::apps {

/// Overrides, `section.key=value`, that make up for the configuration which the file lacks: the
/// backbone and head that the shapes tell of, then the official arguments where it has them, then
/// `overrides`, of which backbone.heads counts where shapes cannot tell. Throws CheckpointError.
std::vector<std::string> overrides_of_weights(const models::Weights& weights,
                                              const std::vector<std::string>& overrides);

/// The part of these that the official arguments tell.
std::vector<std::string> overrides_of_arguments(const models::Weights& weights);

/// The arguments of the official program that say what `config` says.
io::Dict official_arguments(config::RunConfig config);

}  // namespace ibot::apps
