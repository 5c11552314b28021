// Schedules that reach beyond the end of their run.
#pragma once

#include <string>
#include <vector>

#include "ibot/config/run_config.h"

namespace ibot::config {

/// One line for each key of a schedule that the run ends within, with the key's value and the
/// length of the run; empty where all fit. Nothing fails by it, but such a run does not do what its
/// configuration says.
///
///   steps_per_epoch   with it, train.max_steps is seen as the end as far as the warm-up goes
std::vector<std::string> unfinished_schedules(const RunConfig& config, int64_t steps_per_epoch);

}  // namespace ibot::config
