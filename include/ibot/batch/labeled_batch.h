// An evaluation batch: images with their classes.
#pragma once

#include <torch/types.h>

namespace ibot::batch {

///   image      [B, 3, H, W]   uint8
///   label      [B]            int64
///   sample_id  [B]            int64, index in the data set
struct LabeledBatch {
  torch::Tensor image;
  torch::Tensor label;
  torch::Tensor sample_id;
};

}  // namespace ibot::batch
