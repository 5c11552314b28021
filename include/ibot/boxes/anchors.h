// The boxes that a region proposal network starts from.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "ibot/boxes/coding.h"

namespace ibot::boxes {

///   ratios  height / width
///   scale   side of the square anchor in strides
struct AnchorOptions {
  std::vector<int64_t> strides{4, 8, 16, 32, 64};
  std::vector<double> ratios{0.5, 1.0, 2.0};
  double scale = 8;
};

/// Anchors of one cell around the origin: [ratios, 4].
torch::Tensor cell_anchors(int64_t stride, const AnchorOptions& options);

/// Anchors of a level in the order row, column, ratio, around (column, row) · stride: the cells'
/// corners, not their middles. [rows · columns · ratios, 4], float32.
///
/// Source: mmdetection 2.11, AnchorGenerator.
torch::Tensor level_anchors(int64_t rows, int64_t columns, int64_t stride,
                            const AnchorOptions& options);

/// Which of level_anchors lie within an image and belong to a cell within its padded size:
/// [anchors] bool. The right and lower border do not belong to the image.
torch::Tensor usable_anchors(const torch::Tensor& anchors, int64_t rows, int64_t columns,
                             int64_t stride, ImageSize image, ImageSize padded);

}  // namespace ibot::boxes
