#include <array>
#include <numeric>
#include <vector>

#include "ibot/image/pixel_ops.h"
#include "image/blend.h"

namespace ibot::data {
namespace {

constexpr int kLevels = 256;

using Curve = std::array<uint8_t, kLevels>;
using Histogram = std::array<int64_t, kLevels>;

uint8_t clipped_level(int64_t value) {
  return static_cast<uint8_t>(std::clamp<int64_t>(value, 0, 255));
}

template <class Function>
Curve curve_of(Function&& function) {
  Curve curve;
  for (int level = 0; level < kLevels; ++level) curve[level] = clipped_level(function(level));
  return curve;
}

void apply_(uint8_t* pixels, int64_t count, const Curve& curve) {
  for (int64_t i = 0; i < count; ++i) pixels[i] = curve[pixels[i]];
}

Histogram histogram(const uint8_t* pixels, int64_t count) {
  Histogram counts{};
  for (int64_t i = 0; i < count; ++i) ++counts[pixels[i]];
  return counts;
}

/// Smallest and largest level present.
struct Range {
  int low = 0;
  int high = 0;
};

Range range_of(const Histogram& counts) {
  Range range{0, kLevels - 1};
  while (counts[range.low] == 0) ++range.low;
  while (counts[range.high] == 0) --range.high;
  return range;
}

Curve stretching(const Histogram& counts) {
  const auto [low, high] = range_of(counts);
  // One level alone cannot be stretched.
  if (high <= low) return curve_of([](int level) { return level; });
  const double scale = 255.0 / (high - low);
  const double offset = -low * scale;
  // Truncated, as Pillow's lookup table is.
  return curve_of([&](int level) { return static_cast<int64_t>(level * scale + offset); });
}

Curve equalizing(const Histogram& counts) {
  const auto [low, high] = range_of(counts);
  const int64_t total = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  // As Pillow: the highest level present does not count, and the sum starts at half a step.
  const int64_t step = (total - counts[high]) / 255;
  if (step == 0) return curve_of([](int level) { return level; });
  int64_t sum = step / 2;
  return curve_of([&](int level) {
    const int64_t value = sum / step;
    sum += counts[level];
    return value;
  });
}

template <class MakeCurve>
void apply_to_planes_(CropView crop, MakeCurve&& make_curve) {
  for (int64_t channel = 0; channel < 3; ++channel) {
    uint8_t* plane = crop.plane(channel);
    apply_(plane, crop.plane_size(), make_curve(histogram(plane, crop.plane_size())));
  }
}

/// One row from the three rows of the original around it. The kernel (1, with 5 in the center) / 13
/// never yields an exact half, so integer rounding agrees with Pillow's floats.
IBOT_SIMD void sharpen_row(const uint8_t* above, const uint8_t* here, const uint8_t* below,
                           int64_t width, float factor, uint8_t* __restrict out) {
  for (int64_t x = 1; x + 1 < width; ++x) {
    int sum = 4 * here[x];
    for (int64_t i = x - 1; i <= x + 1; ++i) sum += above[i] + here[i] + below[i];
    out[x] = blend((2 * sum + 13) / 26, here[x], factor);
  }
}

}  // namespace

void solarize_add_(CropView crop, int amount) {
  apply_(crop.data, 3 * crop.plane_size(),
         curve_of([&](int level) { return level < 128 ? level + amount : level; }));
}

void posterize_(CropView crop, int bits) {
  // No bits at all, at level 10, give black.
  const int mask = ~((1 << (8 - bits)) - 1);
  apply_(crop.data, 3 * crop.plane_size(), curve_of([&](int level) { return level & mask; }));
}

void auto_contrast_(CropView crop) { apply_to_planes_(crop, stretching); }

void equalize_(CropView crop) { apply_to_planes_(crop, equalizing); }

void adjust_sharpness_(CropView crop, double factor) {
  thread_local std::vector<uint8_t> original;
  original.assign(crop.data, crop.data + 3 * crop.plane_size());
  for (int64_t row = 0; row < 3 * crop.height; ++row) {
    const int64_t y = row % crop.height;
    // Pillow's 3 x 3 filters copy the border.
    if (y == 0 || y + 1 == crop.height) continue;
    const uint8_t* here = original.data() + row * crop.width;
    sharpen_row(here - crop.width, here, here + crop.width, crop.width, static_cast<float>(factor),
                crop.data + row * crop.width);
  }
}

}  // namespace ibot::data
