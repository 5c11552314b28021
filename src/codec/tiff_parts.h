// Sequential decoding of the strips or tiles of a TIFF.
#pragma once

#include <cstdint>
#include <vector>

#include "codec/tiff_layout.h"
#include "codec/tiff_source.h"

namespace ibot::data {

/// The pixels of a strip or tile, clipped to the image.
struct TiffPart {
  int64_t x = 0;
  int64_t y = 0;
  int64_t width = 0;
  int64_t height = 0;
  /// Rows of bit-packed samples in native byte order, those of a pixel adjacent.
  const uint8_t* samples = nullptr;
  int64_t row_bytes = 0;
  /// Number of samples from one pixel to the next.
  int64_t step = 1;
};

/// Decodes one part after another; every byte that next() exposes was written by libtiff or is
/// zero.
class TiffParts {
 public:
  /// Throws DataError if strips or tiles have an impossible size.
  TiffParts(TiffSource& source, const TiffLayout& layout, int64_t max_pixels,
            const std::string& name);

  /// The next part, valid until the following call; false after the last. Throws DataError if the
  /// part is truncated or damaged.
  bool next(TiffPart& part);

 private:
  const uint8_t* read_contiguous(TiffPart& part);
  const uint8_t* read_planes(TiffPart& part);
  void read_plane(const TiffPart& part, int64_t plane, std::vector<uint8_t>& to);

  TiffSource& source_;
  const TiffLayout& layout_;
  bool tiled_;
  uint32_t width_ = 0;
  uint32_t height_ = 0;
  uint32_t rows_per_strip_ = 0;  // as stated
  int64_t stored_row_bytes_ = 0;
  int64_t x_ = 0;
  int64_t y_ = 0;
  std::vector<uint8_t> stored_;
  std::vector<uint8_t> together_;
};

}  // namespace ibot::data
