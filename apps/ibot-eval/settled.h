// What a configuration leaves open until weights and device are known.
#pragma once

#include <torch/types.h>

#include "ibot-eval/eval_config.h"
#include "ibot-eval/task.h"

namespace ibot::apps {

/// Sets the size of training images where it is that of evaluation, and precisions that the device
/// decides: identities and reports hold what was used. Throws ConfigError on a crop for `task` that
/// is no whole number of patches.
void settle(const Task& task, torch::Device device, EvalConfig& config);

}  // namespace ibot::apps
