// Conversion of TIFF samples to RGB.
#pragma once

#include <array>
#include <vector>

#include "codec/tiff_layout.h"
#include "codec/tiff_parts.h"

namespace ibot::data {

/// The colors of samples of at most 8 bits.
using TiffColorTable = std::array<std::array<uint8_t, 3>, 256>;

/// Writes the pixels of parts into an image.
class TiffPainter {
 public:
  TiffPainter(const TiffLayout& layout, const TiffDirectory& directory);
  /// Requires a layout other than wide gray and YCbCr.
  void paint(const TiffPart& part, Image& image);

 private:
  void paint_lab(const uint8_t* samples, const TiffPart& part, uint8_t* to);
  void paint_row(const uint8_t* samples, const TiffPart& part, uint8_t* to);

  TiffLayout layout_;
  TiffColorTable table_{};
  std::vector<uint8_t> row_;
};

}  // namespace ibot::data
