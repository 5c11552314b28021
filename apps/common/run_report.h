// The report that a run leaves.
#pragma once

#include <torch/types.h>

#include <filesystem>

#include "ibot/config/run_config.h"

namespace ibot::apps {

/// Writes OUT/report.html with curves and pictures. A failure is a warning: the run is done.
void write_run_report(const std::filesystem::path& output, const config::RunConfig& config,
                      torch::Device device);

}  // namespace ibot::apps
