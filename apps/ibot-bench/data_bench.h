// Timing the way from image files to batches.
#pragma once

#include <filesystem>

#include "ibot/config/run_config.h"

namespace ibot::apps {

/// Decodes the images of a folder, or of any folder below it, crops them as in training and
/// normalises the crops to float32, on data.workers threads.
void bench_data(const config::RunConfig& config, const std::filesystem::path& folder,
                int repetitions);

}  // namespace ibot::apps
