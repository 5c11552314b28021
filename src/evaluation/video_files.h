// What is written of objects that were followed through videos.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "ibot/data/davis_set.h"
#include "ibot/eval/mask_quality.h"

namespace ibot::evaluation {

/// J and F of one object.
struct ObjectResult {
  std::string name;  // sequence_object
  eval::FrameStatistics region;
  eval::FrameStatistics contour;
};

/// J&F-Mean, J-Mean, J-Recall, J-Decay, F-Mean, F-Recall and F-Decay, means over all objects.
std::vector<std::pair<std::string, double>> global_means(const std::vector<ObjectResult>& objects);

/// FOLDER/SEQUENCE/FRAME.png, palette images.
///
///   masks  [frames, H, W]   uint8
void write_masks(const std::filesystem::path& folder, const data::DavisSet& set,
                 const data::VideoSequence& sequence, const torch::Tensor& masks);

/// FOLDER/strips/SEQUENCE.png: frames from first to last, side by side, with the objects in
/// colors.
void write_strip(const std::filesystem::path& folder, const data::DavisSet& set,
                 const data::VideoSequence& sequence, const torch::Tensor& masks);

/// global_results-val.csv and per-sequence_results-val.csv, as davis2017-evaluation writes them.
void write_tables(const std::filesystem::path& folder, const std::vector<ObjectResult>& objects);

}  // namespace ibot::evaluation
