#include "ibot/image/warp.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numbers>
#include <vector>

namespace ibot::data {
namespace {

/// Python's round(value, 15): to the nearest decimal, then to the nearest double. Multiplying by
/// 1e15 would round differently.
double rounded_to_15_decimals(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.15f", value);
  return std::strtod(text, nullptr);
}

/// Keys' cubic (a = -1) through four values at unit distance, at `d` between the middle two.
/// Pillow's order of operations decides the last bit.
double cubic(double v1, double v2, double v3, double v4, double d) {
  const double linear = -v1 + v3;
  const double square = 2 * (v1 - v2) + v3 - v4;
  const double cube = -v1 + v2 - v3 + v4;
  return v2 + d * (linear + d * (square + d * cube));
}

/// Cut off and truncated, not rounded, as Pillow's bicubic transform.
uint8_t truncated(double value) {
  return value <= 0.0 ? 0 : value >= 255.0 ? 255 : static_cast<uint8_t>(value);
}

/// The four pixels of a line around a position, and its distance from the second.
struct Taps {
  Taps(double position, int64_t size) {
    const double floor = std::floor(position);
    distance = position - floor;
    for (int64_t i = 0; i < 4; ++i) {
      at[i] = std::clamp<int64_t>(static_cast<int64_t>(floor) - 1 + i, 0, size - 1);
    }
  }
  int64_t at[4];
  double distance;
};

uint8_t interpolated(const uint8_t* plane, int64_t width, const Taps& column, const Taps& row) {
  double values[4];
  for (int i = 0; i < 4; ++i) {
    const uint8_t* line = plane + row.at[i] * width;
    values[i] = cubic(line[column.at[0]], line[column.at[1]], line[column.at[2]],
                      line[column.at[3]], column.distance);
  }
  return truncated(cubic(values[0], values[1], values[2], values[3], row.distance));
}

}  // namespace

Affine rotation(double degrees, int64_t height, int64_t width) {
  double turn = std::fmod(degrees, 360.0);
  if (turn < 0) turn += 360.0;
  if (turn == 0.0) return {};
  // Pillow passes the inverse map: from output to source.
  const double angle = -(turn * (std::numbers::pi / 180.0));
  const double cosine = rounded_to_15_decimals(std::cos(angle));
  const double sine = rounded_to_15_decimals(std::sin(angle));
  const double x = static_cast<double>(width) / 2.0;
  const double y = static_cast<double>(height) / 2.0;
  const double minus_sine = rounded_to_15_decimals(-std::sin(angle));
  // Pillow's order of additions, with its zero offset, decides the last bit.
  return {.xx = cosine,
          .xy = sine,
          .x0 = cosine * -x + sine * -y + 0.0 + x,
          .yx = minus_sine,
          .yy = cosine,
          .y0 = minus_sine * -x + cosine * -y + 0.0 + y};
}

void warp_(CropView crop, const Affine& source, const std::array<uint8_t, 3>& fill) {
  const auto height = static_cast<double>(crop.height);
  const auto width = static_cast<double>(crop.width);
  // Each worker thread keeps its buffer: no allocation per crop.
  thread_local std::vector<uint8_t> original;
  original.assign(crop.data, crop.data + 3 * crop.plane_size());
  for (int64_t row = 0; row < crop.height; ++row) {
    const double y = static_cast<double>(row) + 0.5;
    for (int64_t column = 0; column < crop.width; ++column) {
      const double x = static_cast<double>(column) + 0.5;
      const double from_x = source.xx * x + source.xy * y + source.x0;
      const double from_y = source.yx * x + source.yy * y + source.y0;
      const int64_t pixel = row * crop.width + column;
      // Outside the source image, as in Pillow's transform().
      if (from_x < 0.0 || from_x >= width || from_y < 0.0 || from_y >= height) {
        for (int64_t c = 0; c < 3; ++c) crop.plane(c)[pixel] = fill[c];
        continue;
      }
      // From pixel corners to pixel centers.
      const Taps columns(from_x - 0.5, crop.width);
      const Taps rows(from_y - 0.5, crop.height);
      for (int64_t c = 0; c < 3; ++c) {
        const uint8_t* plane = original.data() + c * crop.plane_size();
        crop.plane(c)[pixel] = interpolated(plane, crop.width, columns, rows);
      }
    }
  }
}

}  // namespace ibot::data
