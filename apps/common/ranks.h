// The ranks of a job.
#pragma once

#include "ibot/dist/group.h"
#include "ibot/train/train_options.h"

namespace ibot::apps {

/// Meets the ranks that a launcher has started, if it has, and logs what they wait for. Throws
/// ConfigError where variables or the device make no sense.
dist::Group join_ranks(torch::Device device, const train::TrainOptions& timeouts);

}  // namespace ibot::apps
