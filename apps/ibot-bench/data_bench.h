// Benchmark from image files to batches.
#pragma once

#include <string>

#include "ibot-bench/figures.h"
#include "ibot/config/run_config.h"

namespace ibot::apps {

/// Decodes the images of an image folder or of shards, crops them as in training and
/// normalizes the crops to float32, on data.workers threads.
void bench_data(const config::RunConfig& config, const std::string& folder, int repetitions,
                Figures& figures);

}  // namespace ibot::apps
