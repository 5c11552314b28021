// Detections as files and pictures.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "ibot/coco/annotations.h"
#include "ibot/image/image.h"

namespace ibot::coco {

/// A mask that is set nowhere but within a window of the image.
///
///   window  [h, w]  bool, its corner at (top, left)
metrics::RunLengthMask placed_runs(const torch::Tensor& window, int64_t top, int64_t left,
                                   int64_t height, int64_t width);

/// Writes what pycocotools' COCO.loadRes reads: [{image_id, category_id, bbox, score,
/// segmentation}]. Throws Error where the file cannot be written.
void write_results(const std::filesystem::path& file,
                   const std::vector<metrics::Detection>& detections);

/// The image with boxes, masks, names and scores of detections, each category in a color of its
/// own.
data::Image drawn(const data::Image& image, const std::vector<metrics::Detection>& detections,
                  const std::vector<Category>& categories);

}  // namespace ibot::coco
