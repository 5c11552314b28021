#include "ibot/batch/detection_batch.h"

namespace ibot::batch {

torch::Tensor padded_normalized(const torch::Tensor& pixels, const torch::Tensor& size,
                                const Normalization& normalization) {
  auto images = normalized(pixels, normalization);
  for (int64_t i = 0; i < images.size(0); ++i) {
    // After normalization, so that the margin is the mean color: mmdetection pads last, too.
    images[i].slice(1, size[i][0].item<int64_t>()).zero_();
    images[i].slice(2, size[i][1].item<int64_t>()).zero_();
  }
  return images;
}

}  // namespace ibot::batch
