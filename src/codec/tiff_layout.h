// How the samples of a TIFF form pixels.
#pragma once

#include <cstdint>
#include <string>

#include "codec/tiff_directory.h"

namespace ibot::data {

enum class TiffColor {
  kIndexed,   // gray or palette of at most 8 bits
  kWideGray,  // gray of more
  kRgb,
  kCmyk,
  kYcbcr,
  kLab,
};

enum class TiffSampleFormat { kUnsigned = 1, kSigned = 2, kFloat = 3 };

struct TiffLayout {
  /// As stored, before orientation.
  int64_t width = 0;
  int64_t height = 0;
  int64_t orientation = 1;
  int64_t compression = 1;
  TiffColor color{};
  TiffSampleFormat format{};
  bool palette = false;
  /// The smallest value is white.
  bool inverted = false;
  /// The fourth sample is alpha by which colors have been multiplied.
  bool premultiplied = false;
  /// Each sample is stored in a plane of its own.
  bool planar = false;
  /// Planes that Pillow reads without libtiff, see read_raw_planes.
  bool raw_planes = false;
  /// Pillow reads the samples in the wrong byte order.
  bool swapped = false;
  /// What Pillow misreads, in words; empty if the pixels are the intended ones.
  std::string mistake;
  int64_t bits = 8;
  /// Samples per pixel in the file.
  int64_t samples = 1;
  /// Number of leading samples that decide the color.
  int64_t used_samples() const;
  /// Whether orientation exchanges width and height.
  bool turned() const { return orientation >= 5 && orientation <= 8; }
};

/// Accepts the layouts that Pillow accepts, with Pillow's interpretation. Throws DataError, naming
/// `name` and the layout, for any other.
///
/// Source: OPEN_INFO and TiffImageFile._setup of Pillow 12.2's TiffImagePlugin.py.
TiffLayout read_tiff_layout(const TiffDirectory& directory, const std::string& name);

}  // namespace ibot::data
