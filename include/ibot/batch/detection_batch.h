// A training batch of a detector.
#pragma once

#include <torch/types.h>

#include <vector>

#include "ibot/batch/normalization.h"

namespace ibot::batch {

/// Images of several sizes, padded on the right and below to the largest and to whole multiples of
/// the largest stride.
///
///   image      [B, 3, H, W]      uint8, 0 in the padding
///   size       [B, 2]            int64, height and width without padding
///   boxes      [M_i, 4] each     float32, x1, y1, x2, y2 in pixels of the image
///   labels     [M_i] each        int64
///   masks      [M_i, h_i, w_i]   uint8, 0 or 1, of the size without padding
///   sample_id  [B]               int64, index in the data set
struct DetectionBatch {
  torch::Tensor image;
  torch::Tensor size;
  std::vector<torch::Tensor> boxes;
  std::vector<torch::Tensor> labels;
  std::vector<torch::Tensor> masks;
  torch::Tensor sample_id;
};

/// Normalized pixels with 0 in the padding.
///
///   pixels  [B, 3, H, W]  uint8
///   size    [B, 2]        int64 on the host
torch::Tensor padded_normalized(const torch::Tensor& pixels, const torch::Tensor& size,
                                const Normalization& normalization);

}  // namespace ibot::batch
