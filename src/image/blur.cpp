#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "ibot/image/pixel_ops.h"
#include "image/simd.h"

namespace ibot::data {
namespace {

constexpr int kPasses = 3;

/// A box of fractional width: 2 * reach + 1 taps of weight `inner` and one of weight `outer` at
/// each end, in 24-bit fixed point.
struct BoxFilter {
  int reach;
  uint32_t inner;
  uint32_t outer;
};

/// The box whose kPasses-fold application best approximates a Gaussian of standard deviation
/// `radius`. float and double are mixed as in Pillow, for equal bits. Source: Gwosdek et al. 2011.
BoxFilter box_filter(float radius) {
  const float variance = radius * radius / kPasses;
  const auto length = static_cast<float>(std::sqrt(12.0 * variance + 1.0));
  const auto whole = static_cast<float>(std::floor((length - 1.0) / 2.0));
  float fraction = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance);
  fraction /= 6 * (variance - (whole + 1) * (whole + 1));
  const float width = whole + fraction;
  const int reach = static_cast<int>(width);
  const auto inner = static_cast<uint32_t>((1 << 24) / (width * 2 + 1));
  return {reach, inner, ((1U << 24) - (2 * reach + 1) * inner) / 2};
}

IBOT_SIMD_PART inline uint8_t rounded(uint32_t inner_sum, uint32_t outer_sum,
                                      const BoxFilter& box) {
  return static_cast<uint8_t>((inner_sum * box.inner + outer_sum * box.outer + (1U << 23)) >> 24);
}

/// One pass over a line. `lines` holds the starts of 2 * reach + 3 input lines, the middle one at
/// the output's own position: shifted copies of a row, or neighboring rows of a plane.
///
/// Radii of at most 2 pixels, all that pre-training draws, have a reach of 0 or 1: unrolled for
/// them.
IBOT_SIMD void filter_line(const uint8_t* const* lines, const BoxFilter box, int64_t length,
                           uint8_t* __restrict out) {
  const int last = 2 * box.reach + 2;
  if (box.reach == 0) {
    const uint8_t *a = lines[0], *b = lines[1], *c = lines[2];
    for (int64_t x = 0; x < length; ++x) out[x] = rounded(b[x], a[x] + c[x], box);
  } else if (box.reach == 1) {
    const uint8_t *a = lines[0], *b = lines[1], *c = lines[2], *d = lines[3], *e = lines[4];
    for (int64_t x = 0; x < length; ++x) out[x] = rounded(b[x] + c[x] + d[x], a[x] + e[x], box);
  } else {
    for (int64_t x = 0; x < length; ++x) {
      uint32_t inner = 0;
      for (int k = 1; k < last; ++k) inner += lines[k][x];
      out[x] = rounded(inner, lines[0][x] + lines[last][x], box);
    }
  }
}

void blur_rows(uint8_t* plane, int64_t height, int64_t width, const BoxFilter& box) {
  const int64_t margin = box.reach + 1;
  thread_local std::vector<uint8_t> padded_line;
  thread_local std::vector<const uint8_t*> taps;
  // Edge pixels are repeated beyond the border.
  padded_line.resize(width + 2 * margin);
  taps.resize(2 * margin + 1);
  for (int64_t k = 0; k <= 2 * margin; ++k) taps[k] = padded_line.data() + k;
  for (int64_t y = 0; y < height; ++y) {
    uint8_t* row = plane + y * width;
    for (int pass = 0; pass < kPasses; ++pass) {
      std::memset(padded_line.data(), row[0], margin);
      std::memcpy(padded_line.data() + margin, row, width);
      std::memset(padded_line.data() + margin + width, row[width - 1], margin);
      filter_line(taps.data(), box, width, row);
    }
  }
}

// Rows first, then columns, each pass rounded to 8 bits: the order of Pillow.
void blur_columns(uint8_t* plane, int64_t height, int64_t width, const BoxFilter& box) {
  const int64_t margin = box.reach + 1;
  thread_local std::vector<uint8_t> before;
  thread_local std::vector<const uint8_t*> taps;
  before.resize(height * width);
  taps.resize(2 * margin + 1);
  for (int pass = 0; pass < kPasses; ++pass) {
    std::memcpy(before.data(), plane, before.size());
    for (int64_t y = 0; y < height; ++y) {
      for (int64_t k = 0; k <= 2 * margin; ++k) {
        // Whole rows are the lines, so memory is read contiguously in this direction too.
        taps[k] = before.data() + std::clamp<int64_t>(y + k - margin, 0, height - 1) * width;
      }
      filter_line(taps.data(), box, width, plane + y * width);
    }
  }
}

}  // namespace

void gaussian_blur_(CropView crop, double radius) {
  const BoxFilter box = box_filter(static_cast<float>(radius));
  for (int64_t channel = 0; channel < 3; ++channel) {
    blur_rows(crop.plane(channel), crop.height, crop.width, box);
    blur_columns(crop.plane(channel), crop.height, crop.width, box);
  }
}

}  // namespace ibot::data
