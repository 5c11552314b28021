#include "ibot/batch/segmentation_batch.h"

#include "ibot/batch/normalization.h"

namespace ibot::batch {

torch::Tensor normalized_images(const SegmentationBatch& batch, torch::Device device,
                                const Normalization& normalization) {
  auto images = normalized(batch.image.to(device, /*non_blocking=*/true), normalization);
  const auto size = batch.size.accessor<int64_t, 2>();
  for (int64_t i = 0; i < images.size(0); ++i) {
    const auto image = images[i];
    // Padded after normalization, as mmsegmentation does.
    image.slice(1, size[i][0]).zero_();
    image.slice(2, size[i][1]).zero_();
  }
  return images;
}

}  // namespace ibot::batch
