// The ranks of a job.
#pragma once

#include "ibot/dist/group.h"
#include "ibot/train/train_options.h"

namespace ibot::apps {

/// Joins the ranks started by a launcher, if any, and logs what they wait for. Throws ConfigError
/// if environment variables or the device are inconsistent.
dist::Group join_ranks(torch::Device device, const train::TrainOptions& timeouts);

}  // namespace ibot::apps
