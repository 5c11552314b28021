// Pictures of what a run sees and has learnt, for its report.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <vector>

#include "ibot/config/run_config.h"
#include "ibot/report/report_page.h"

namespace ibot::apps {

/// How many images each picture takes.
struct PictureCounts {
  int64_t cropped = 6;
  int64_t attended = 6;
  int64_t checkpoints = 4;  // spread over those that the run keeps
  int64_t embedded = 400;
  int64_t queries = 8;
  int64_t neighbors = 7;
};

/// Crops and masks as in training; attention of the class token over checkpoints; nearest neighbors
/// and planes of the features of the newest checkpoint. Images are those of eval.path (val/), or of
/// data.path. What cannot be made, for lack of images or checkpoints, or by a network without such
/// attention, is left out with a line in the log.
///
///   folder  the run's, with checkpoints/
std::vector<report::PictureSection> run_pictures(const std::filesystem::path& folder,
                                                 const config::RunConfig& config,
                                                 torch::Device device,
                                                 const PictureCounts& counts = {});

}  // namespace ibot::apps
