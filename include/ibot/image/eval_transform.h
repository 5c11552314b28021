// The deterministic crop of evaluations.
#pragma once

#include <cstdint>

#include "ibot/image/crop_view.h"
#include "ibot/image/image.h"
#include "ibot/image/resize.h"

namespace ibot::data {

/// Sides in pixels; crop_size <= resize_size, which is 0 where nothing is resized.
struct EvalTransformOptions {
  int64_t resize_size = 256;
  int64_t crop_size = 224;
  Filter filter = Filter::kBicubic;
};

/// Resizes the short side to resize_size and crops the central crop_size x crop_size pixels. Throws
/// Error if an image that is not resized is smaller.
///
///   out   crop_size x crop_size
///
/// Source: torchvision `Resize` and `CenterCrop`.
void eval_transform(const Image& image, const EvalTransformOptions& options, CropView out);

}  // namespace ibot::data
