// Making an image small, as Pillow's thumbnails are.
#pragma once

#include <torch/types.h>

#include <cstdint>

#include "ibot/image/image.h"
#include "ibot/image/resize.h"

namespace ibot::data {

struct ImageSize {
  int64_t height = 0;
  int64_t width = 0;
  bool operator==(const ImageSize&) const = default;
};

/// The largest size within `limits` whose aspect ratio is that of `size` up to rounding; `size`
/// itself where that is within them.
///
/// Source: Pillow 12.2 `Image.thumbnail`.
ImageSize thumbnail_size(ImageSize size, ImageSize limits);

/// The pixels of `box` in that size: where a side shrinks four times or more averages of boxes of
/// pixels, then Lanczos.
///
///   returns  [3, H, W]   uint8
///
/// Throws Error where the box does not lie within the image.
/// Source: Pillow 12.2 `Image.thumbnail` of a decoded image, Lanczos, reducing gap 2; equal to the
/// last bit.
torch::Tensor thumbnail(const Image& image, const Box& box, ImageSize limits);

/// All of the image.
torch::Tensor thumbnail(const Image& image, ImageSize limits);

/// The whole image in the given size, whatever its shape: [3, H, W], uint8.
///
/// Source: Pillow 12.2 `Image.resize`, bicubic.
torch::Tensor resized(const Image& image, int64_t height, int64_t width);

}  // namespace ibot::data
