// Affine warps of a crop.
#pragma once

#include <array>
#include <cstdint>

#include "ibot/image/crop_view.h"

namespace ibot::data {

/// Maps output to input coordinates: the pixel at x = column + 1/2, y = row + 1/2 shows the point
struct Affine {
  double xx = 1.0;
  double xy = 0.0;
  double x0 = 0.0;
  double yx = 0.0;
  double yy = 1.0;
  double y0 = 0.0;
};

/// Rotation by `degrees`, counterclockwise about the center.
Affine rotation(double degrees, int64_t height, int64_t width);

/// Resamples the crop by `source`: bicubic over 4 x 4 pixels (Keys, a = -1, no antialiasing), edge
/// pixels replicated; points outside the crop become `fill`.
///
/// Equal to Pillow 12 `Image.transform` and `Image.rotate` bit for bit.
void warp_(CropView crop, const Affine& source, const std::array<uint8_t, 3>& fill);

}  // namespace ibot::data
