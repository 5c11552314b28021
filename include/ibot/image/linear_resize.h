// Resizing as OpenCV does it, which segmentation and detection are defined with.
#pragma once

#include <torch/types.h>

#include "ibot/image/image.h"
#include "ibot/image/thumbnail.h"

namespace ibot::data {

/// The size of the same shape whose long side is at most `long_side` and whose short side at most
/// `short_side`, one of them equal but for rounding.
///
/// Source: mmcv 1.3 (rescale_size).
ImageSize size_within(ImageSize size, int64_t long_side, int64_t short_side);

/// The size of the same shape with that short side.
ImageSize size_of_short_side(ImageSize size, int64_t short_side);

/// Bilinear, pixel centers aligned, no antialiasing. Source: OpenCV `INTER_LINEAR` on 8 bits.
Image linear_resized(const Image& image, ImageSize size);

/// Every pixel is that at the floor of its place times the ratio of sizes.
///
///   map      [H, W]            uint8
///   returns  [height, width]   uint8
///
/// Source: OpenCV `INTER_NEAREST`.
torch::Tensor nearest_resized(const torch::Tensor& map, ImageSize size);

}  // namespace ibot::data
