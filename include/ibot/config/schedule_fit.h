// Schedules that extend beyond the end of the run.
#pragma once

#include <string>
#include <vector>

#include "ibot/config/run_config.h"

namespace ibot::config {

/// One line for each schedule key whose schedule does not end before the run, with its value and
/// the length of the run; empty if all fit. This is not an error, but such a run does not do what
/// its configuration says.
///
///   steps_per_epoch   used to compare train.max_steps with the warm-up
std::vector<std::string> unfinished_schedules(const RunConfig& config, int64_t steps_per_epoch);

}  // namespace ibot::config
