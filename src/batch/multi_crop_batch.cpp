#include "ibot/batch/multi_crop_batch.h"

#include "ibot/base/error.h"

namespace ibot::batch {

void index_masked_patches(MultiCropBatch& batch) {
  IBOT_CHECK(batch.mask.dim() == 2 && batch.mask.scalar_type() == torch::kBool,
             "index_masked_patches: expected a bool mask [V, N], got ", batch.mask.sizes());
  batch.masked = batch.mask.flatten().nonzero().squeeze(1);
  const auto per_view = batch.mask.sum(1);  // [V]
  const auto view = batch.masked.floor_divide(batch.mask.size(1));
  batch.masked_weight = per_view.index_select(0, view).to(torch::kFloat).reciprocal();
}

MultiCropBatch prepared(const MultiCropBatch& batch, torch::Device device,
                        const Normalization& normalization) {
  const auto moved = [device](const torch::Tensor& tensor) {
    return tensor.defined() ? tensor.to(device, /*non_blocking=*/true) : tensor;
  };
  const auto crops = [&](const torch::Tensor& pixels) {
    return pixels.defined() ? normalized(moved(pixels), normalization) : pixels;
  };
  return {crops(batch.global),        crops(batch.local), moved(batch.mask), moved(batch.masked),
          moved(batch.masked_weight), batch.sample_id,    batch.label};
}

}  // namespace ibot::batch
