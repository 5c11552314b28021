// A batch of images with label maps.
#pragma once

#include <torch/types.h>

#include "ibot/batch/normalization_options.h"

namespace ibot::batch {

/// Images of at most S x S pixels in the top left corners of their places.
///
///   image      [B, 3, S, S]   uint8
///   label      [B, S, S]      uint8, 255 where there is no class and beside the image
///   size       [B, 2]         int64, height and width, on the host
///   sample_id  [B]            int64, index in the data set
struct SegmentationBatch {
  torch::Tensor image;
  torch::Tensor label;
  torch::Tensor size;
  torch::Tensor sample_id;
};

/// Network input on the device: the images normalized, 0 beside them. [B, 3, S, S]
torch::Tensor normalized_images(const SegmentationBatch& batch, torch::Device device,
                                const Normalization& normalization);

}  // namespace ibot::batch
