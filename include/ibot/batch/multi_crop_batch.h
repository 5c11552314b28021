// A pre-training batch, as passed from the loader to the training step.
#pragma once

#include <torch/types.h>

#include <vector>

#include "ibot/batch/normalization.h"
#include "ibot/batch/patch_pairs.h"

namespace ibot::batch {

/// V views of B images in crop-major order: [crop 0 of all images, crop 1 of all images, …].
///
///   global      [Vg·B, 3, H, W]   uint8 as loaded, float32 once normalized
///   local       [Vl·B, 3, h, w]   likewise; undefined without local crops
///   mask        [Vg·B, N]         bool, true where the student's patch is masked
///   local_mask  [Vl·B, n]         likewise; undefined if local crops are not masked
///   crop_box    [Vg·B, 4]         float64, edges of the global crops in their image: top, left,
///                                 bottom, right; left > right for a flipped crop
///   pairs       pairs of patches of the patch loss
///   sample_id   [B]               int64, index in the data set
///   label       [B]               int64, class index; used for logged cluster metrics only
struct MultiCropBatch {
  torch::Tensor global;
  torch::Tensor local;
  torch::Tensor mask;
  torch::Tensor local_mask;
  torch::Tensor crop_box;
  PatchPairs pairs;
  torch::Tensor sample_id;
  torch::Tensor label;
};

/// Fills `pairs` from masks or boxes in host memory. Called when the batch is collated, so that the
/// training step needs no synchronization with the device to learn the number of pairs.
void index_pairs(MultiCropBatch& batch, mask::PatchPairing pairing, mask::PatchGrid grid);

/// Splits a batch in host memory into `parts` micro-batches of consecutive images; the mean of
/// their losses equals the loss of the whole. Throws Error unless the number of images is
/// divisible.
std::vector<MultiCropBatch> split(const MultiCropBatch& batch, int64_t parts);

/// The batch on `device`, its crops as normalized float32.
MultiCropBatch prepared(const MultiCropBatch& batch, torch::Device device,
                        const Normalization& normalization);

}  // namespace ibot::batch
