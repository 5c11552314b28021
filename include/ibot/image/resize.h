// Cutting a box out of an image and resizing it, as Pillow does.
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

/// An image laid out for cutting many crops: three planes, each stored column after column, so that
/// both passes of a resize are sums of whole contiguous lines.
class ColumnPlanes {
 public:
  /// Takes over the pixels of `image`, reusing the memory of earlier ones unless that is above
  /// 64 MiB and 4 times what this one needs.
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

/// How a box becomes a crop: resized to height x width, of which the crop shows the part that
/// begins at (top, left); mirrored last.
struct ResizePlan {
  Box box;
  int64_t height = 0;
  int64_t width = 0;
  int64_t top = 0;
  int64_t left = 0;
  Filter filter = Filter::kBicubic;
  bool flip = false;
};

/// Fills `out` with what `plan` shows of `image`; pixels outside the box have no influence.
///
/// Source: Pillow 12 `Image.resize` after `Image.crop`, equal to the last bit: separable,
/// antialiased, the horizontal pass first, each pass rounded to 8 bits, weights of 22 fractional
/// bits.
void resized_crop(const ColumnPlanes& image, const ResizePlan& plan, CropView out);

}  // namespace ibot::data
