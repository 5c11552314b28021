// The step from 8-bit pixels to network input.
#pragma once

#include <torch/types.h>

#include "ibot/batch/normalization_options.h"

namespace ibot::batch {

/// (pixels / 255 - mean) / std, in float32.
///
///   pixels   [..., 3, H, W]   uint8, on any device
///   returns  [..., 3, H, W]   float32, same device
///
/// Source: torchvision ToTensor and Normalize, equal to the bit.
torch::Tensor normalized(const torch::Tensor& pixels, const Normalization& normalization);

}  // namespace ibot::batch
