// Timing the way from image files to batches, stage by stage.
#pragma once

#include <string>

#include "ibot-bench/figures.h"
#include "ibot/config/run_config.h"

namespace ibot::apps {

/// Does to each image what the loader does, on this thread, and tells the CPU time of each stage:
/// read, decode, crop (with the change of layout before), jitter (without hue), hue, gray (and
/// solarize), blur, copy (to normalized float32). Random decisions have the loader's distribution.
void bench_data_stages(const config::RunConfig& config, const std::string& folder, int repetitions,
                       Figures& figures);

}  // namespace ibot::apps
