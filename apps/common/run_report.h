// The report that a run leaves.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <vector>

#include "ibot/config/run_config.h"
#include "ibot/report/report_page.h"

namespace ibot::apps {

/// Writes OUT/report.html with curves and pictures, `more` after those of what was learnt. A
/// failure is a warning: the run is done.
void write_run_report(const std::filesystem::path& output, const config::RunConfig& config,
                      torch::Device device, const std::vector<report::PictureSection>& more = {});

}  // namespace ibot::apps
