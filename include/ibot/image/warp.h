// Affine changes of a crop's geometry.
#pragma once

#include <array>
#include <cstdint>

#include "ibot/image/crop_view.h"

namespace ibot::data {

/// Where a pixel comes from: that at column + 1/2 = x, row + 1/2 = y shows the point
/// (xx · x + xy · y + x0, yx · x + yy · y + y0).
struct Affine {
  double xx = 1.0;
  double xy = 0.0;
  double x0 = 0.0;
  double yx = 0.0;
  double yy = 1.0;
  double y0 = 0.0;
};

/// The turn by `degrees`, counter-clockwise about the centre.
Affine rotation(double degrees, int64_t height, int64_t width);

/// Replaces the crop by what `source` shows of it, interpolated by cubics over 4 x 4 pixels (Keys,
/// a = -1, no antialias), pixels beyond the edge repeating it; points outside become `fill`.
///
/// Equal to Pillow 12 `Image.transform` and `Image.rotate` to the last bit.
void warp_(CropView crop, const Affine& source, const std::array<uint8_t, 3>& fill);

}  // namespace ibot::data
