#include "ibot/image/pixel_ops.h"

#include <algorithm>

#include "image/blend.h"
#include "image/simd.h"

namespace ibot::data {
namespace {

IBOT_SIMD_PART inline int gray(int red, int green, int blue) {
  // ITU-R 601-2 luma in 16-bit fixed point, Pillow's L mode.
  return (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16;
}

IBOT_SIMD void blend_with_constant(uint8_t* pixels, int64_t count, int base, float factor) {
  for (int64_t i = 0; i < count; ++i) pixels[i] = blend(base, pixels[i], factor);
}

IBOT_SIMD void blend_with_gray(CropView crop, float factor) {
  uint8_t* __restrict red = crop.plane(0);
  uint8_t* __restrict green = crop.plane(1);
  uint8_t* __restrict blue = crop.plane(2);
  for (int64_t i = 0; i < crop.plane_size(); ++i) {
    const int base = gray(red[i], green[i], blue[i]);
    red[i] = blend(base, red[i], factor);
    green[i] = blend(base, green[i], factor);
    blue[i] = blend(base, blue[i], factor);
  }
}

IBOT_SIMD int64_t gray_sum(CropView crop) {
  const uint8_t* red = crop.plane(0);
  const uint8_t* green = crop.plane(1);
  const uint8_t* blue = crop.plane(2);
  int64_t sum = 0;
  // 32-bit partial sums vectorize better; 2^16 gray values sum to less than 2^24.
  for (int64_t begin = 0; begin < crop.plane_size(); begin += 1 << 16) {
    const int64_t end = std::min<int64_t>(begin + (1 << 16), crop.plane_size());
    int32_t part = 0;
    for (int64_t i = begin; i < end; ++i) part += gray(red[i], green[i], blue[i]);
    sum += part;
  }
  return sum;
}

IBOT_SIMD void write_gray(CropView crop) {
  uint8_t* __restrict red = crop.plane(0);
  uint8_t* __restrict green = crop.plane(1);
  uint8_t* __restrict blue = crop.plane(2);
  for (int64_t i = 0; i < crop.plane_size(); ++i) {
    red[i] = green[i] = blue[i] = static_cast<uint8_t>(gray(red[i], green[i], blue[i]));
  }
}

IBOT_SIMD void invert_from(uint8_t* pixels, int64_t count, int threshold) {
  for (int64_t i = 0; i < count; ++i) {
    pixels[i] = pixels[i] < threshold ? pixels[i] : static_cast<uint8_t>(255 - pixels[i]);
  }
}

}  // namespace

void flip_(CropView crop) {
  for (int64_t row = 0; row < 3 * crop.height; ++row) {
    std::reverse(crop.data + row * crop.width, crop.data + (row + 1) * crop.width);
  }
}

void adjust_brightness_(CropView crop, double factor) {
  blend_with_constant(crop.data, 3 * crop.plane_size(), 0, static_cast<float>(factor));
}

void adjust_contrast_(CropView crop, double factor) {
  const double mean = static_cast<double>(gray_sum(crop)) / static_cast<double>(crop.plane_size());
  // Pillow rounds the mean half up, to an integer.
  blend_with_constant(crop.data, 3 * crop.plane_size(), static_cast<int>(mean + 0.5),
                      static_cast<float>(factor));
}

void adjust_saturation_(CropView crop, double factor) {
  blend_with_gray(crop, static_cast<float>(factor));
}

void to_grayscale_(CropView crop) { write_gray(crop); }

void solarize_(CropView crop, int threshold) {
  invert_from(crop.data, 3 * crop.plane_size(), threshold);
}

}  // namespace ibot::data
