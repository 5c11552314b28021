// Pixel statistics and the step from 8-bit pixels to network input.
#pragma once

#include <torch/types.h>

#include <array>

namespace ibot::batch {

/// Mean and standard deviation of each channel, of pixels in [0, 1]. Defaults: ImageNet.
struct Normalization {
  std::array<double, 3> mean{0.485, 0.456, 0.406};
  std::array<double, 3> std{0.229, 0.224, 0.225};
};

/// (pixels / 255 - mean) / std, in float32.
///
///   pixels   [..., 3, H, W]   uint8, on any device
///   returns  [..., 3, H, W]   float32, same device
///
/// Source: torchvision ToTensor and Normalize, equal to the bit.
torch::Tensor normalized(const torch::Tensor& pixels, const Normalization& normalization);

}  // namespace ibot::batch
