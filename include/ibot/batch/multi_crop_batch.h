// A pre-training batch: what the loader hands to the training step.
#pragma once

#include <torch/types.h>

#include "ibot/batch/normalization.h"

namespace ibot::batch {

/// V views of B images; crops lie crop-major, as [crop 0 of all images, crop 1 of all images, …].
///
///   global     [Vg·B, 3, H, W]   uint8 as loaded, float32 once normalised
///   local      [Vl·B, 3, h, w]   likewise; undefined without local crops
///   mask       [Vg·B, N]         bool, true where the student's patch is masked
///   masked     [M]               int64, indices of the masked patches in the flattened mask
///   masked_weight [M]            float32, 1 / (number of masked patches of that view)
///   sample_id  [B]               int64, index in the data set
///   label      [B]               int64, class index; used for logged cluster metrics only
struct MultiCropBatch {
  torch::Tensor global;
  torch::Tensor local;
  torch::Tensor mask;
  torch::Tensor masked;
  torch::Tensor masked_weight;
  torch::Tensor sample_id;
  torch::Tensor label;
};

/// Fills `masked` and `masked_weight` from `mask`, which is in host memory. Done where the batch is
/// collated, so that the training step never has to ask the device how many patches are masked.
void index_masked_patches(MultiCropBatch& batch);

/// The batch on `device`, its crops as normalised float32.
MultiCropBatch prepared(const MultiCropBatch& batch, torch::Device device,
                        const Normalization& normalization);

}  // namespace ibot::batch
