#include "ibot/batch/multi_crop_batch.h"

namespace ibot::batch {

void index_pairs(MultiCropBatch& batch, mask::PatchPairing pairing, mask::PatchGrid grid) {
  switch (pairing) {
    case mask::PatchPairing::kMasked:
      batch.pairs = masked_pairs(batch.mask, batch.local_mask);
      break;
    case mask::PatchPairing::kPosition:
      batch.pairs = pairs_by_position(batch.crop_box, grid);
      break;
    case mask::PatchPairing::kFeature:
      batch.pairs = pairs_by_feature(batch.mask.size(0), batch.mask.size(1));
      break;
  }
}

MultiCropBatch prepared(const MultiCropBatch& batch, torch::Device device,
                        const Normalization& normalization) {
  const auto moved = [device](const torch::Tensor& tensor) {
    return tensor.defined() ? tensor.to(device, /*non_blocking=*/true) : tensor;
  };
  const auto crops = [&](const torch::Tensor& pixels) {
    return pixels.defined() ? normalized(moved(pixels), normalization) : pixels;
  };
  const auto& pairs = batch.pairs;
  return {.global = crops(batch.global),
          .local = crops(batch.local),
          .mask = moved(batch.mask),
          .local_mask = moved(batch.local_mask),
          .crop_box = batch.crop_box,
          .pairs = {moved(pairs.student), moved(pairs.student_local), moved(pairs.teacher),
                    moved(pairs.weight), pairs.views},
          .sample_id = batch.sample_id,
          .label = batch.label};
}

}  // namespace ibot::batch
