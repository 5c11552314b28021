// A pre-training batch: what the loader hands to the training step.
#pragma once

#include <torch/types.h>

#include <vector>

#include "ibot/batch/normalization.h"
#include "ibot/batch/patch_pairs.h"

namespace ibot::batch {

/// V views of B images; crops lie crop-major, as [crop 0 of all images, crop 1 of all images, …].
///
///   global      [Vg·B, 3, H, W]   uint8 as loaded, float32 once normalised
///   local       [Vl·B, 3, h, w]   likewise; undefined without local crops
///   mask        [Vg·B, N]         bool, true where the student's patch is masked
///   local_mask  [Vl·B, n]         likewise; undefined where local crops are not masked
///   crop_box    [Vg·B, 4]         float64, edges of the global crops in their image: top, left,
///                                 bottom, right; a mirrored crop has left > right
///   pairs       what the patch term compares
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

/// Fills `pairs` from masks or boxes, which are in host memory. Done where the batch is collated,
/// so that the training step never has to ask the device how many pairs there are.
void index_pairs(MultiCropBatch& batch, mask::PatchPairing pairing, mask::PatchGrid grid);

/// The batch, in host memory, in `parts` of consecutive images; the mean of the parts' losses is
/// the whole one's. Throws Error unless the images divide.
std::vector<MultiCropBatch> split(const MultiCropBatch& batch, int64_t parts);

/// The batch on `device`, its crops as normalised float32.
MultiCropBatch prepared(const MultiCropBatch& batch, torch::Device device,
                        const Normalization& normalization);

}  // namespace ibot::batch
