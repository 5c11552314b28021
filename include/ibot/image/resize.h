// Cropping and resizing, as Pillow does.
#pragma once

#include <cstdint>
#include <vector>

#include "ibot/image/crop_view.h"
#include "ibot/image/filter_options.h"
#include "ibot/image/image.h"

namespace ibot::data {

/// A rectangle of pixels.
struct Box {
  int64_t top = 0;
  int64_t left = 0;
  int64_t height = 0;
  int64_t width = 0;
};

/// An image laid out for many crops: three planes in column-major order, so that both passes of a
/// resize are sums of contiguous lines.
class ColumnPlanes {
 public:
  /// Copies the pixels of `image`. Reuses the memory of earlier images unless it exceeds both 64
  /// MiB and 4 times what this one needs.
  void assign(const Image& image);
  int64_t height() const { return height_; }
  int64_t width() const { return width_; }
  /// Bytes from one column to the next.
  int64_t stride() const { return stride_; }
  const uint8_t* column(int64_t channel, int64_t x) const {
    return data_.data() + (channel * width_ + x) * stride_;
  }

 private:
  int64_t height_ = 0;
  int64_t width_ = 0;
  int64_t stride_ = 0;
  std::vector<uint8_t> data_;
};

/// From a box to a crop: the box is resized to height x width, the crop is the part that begins at
/// (top, left), flipped horizontally if `flip`.
///
///   covered_height, covered_width  how much of the box, from its top left corner, the resized
///   image
///                                  stands for; 0: all of it
struct ResizePlan {
  Box box;
  int64_t height = 0;
  int64_t width = 0;
  int64_t top = 0;
  int64_t left = 0;
  Filter filter = Filter::kBicubic;
  bool flip = false;
  double covered_height = 0.0;
  double covered_width = 0.0;
};

/// Fills `out` by `plan` from `image`; pixels outside the box have no influence.
///
/// Source: Pillow 12 `Image.resize` after `Image.crop`, equal bit for bit: separable, antialiased,
/// horizontal pass first, each pass rounded to 8 bits, weights with 22 fractional bits.
void resized_crop(const ColumnPlanes& image, const ResizePlan& plan, CropView out);

}  // namespace ibot::data
