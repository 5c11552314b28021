#include "ibot/batch/normalization.h"

#include "ibot/base/error.h"

namespace ibot::batch {

torch::Tensor normalized(const torch::Tensor& pixels, const Normalization& normalization) {
  IBOT_CHECK(pixels.scalar_type() == torch::kByte, "normalized: expected uint8 pixels, got ",
             pixels.scalar_type());
  const auto channel = [&](const std::array<double, 3>& values) {
    return torch::tensor({values[0], values[1], values[2]}, torch::kFloat)
        .to(pixels.device(), /*non_blocking=*/true)
        .view({3, 1, 1});
  };
  // [0, 1] first, then mean and deviation: ToTensor and Normalize, in this order.
  return pixels.to(torch::kFloat)
      .div_(255.0)
      .sub_(channel(normalization.mean))
      .div_(channel(normalization.std));
}

}  // namespace ibot::batch
