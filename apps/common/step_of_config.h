// Training step options from a run's configuration.
#pragma once

#include "ibot/config/run_config.h"
#include "ibot/train/step.h"

namespace ibot::apps {

train::StepOptions step_options(const config::RunConfig& config);

/// Useful FLOPs of one step for one image.
double useful_step_flops(const config::RunConfig& config);

}  // namespace ibot::apps
