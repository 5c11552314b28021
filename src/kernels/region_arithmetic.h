// Samples of a region and overlap of boxes, for a CPU and a GPU alike.
#pragma once

#include <cstdint>

#include "kernels/arithmetic.h"

namespace ibot::kernels {

/// The two cells around a coordinate and the share of the second; nothing far outside of the map.
struct Between {
  int64_t low = 0;
  int64_t high = 0;
  float share = 0;
  bool inside = false;
};

IBOT_BOTH Between between(float at, int64_t size) {
  Between result;
  // Farther than a cell outside: counts as 0.
  if (at < -1 || at > static_cast<float>(size)) return result;
  result.inside = true;
  at = at > 0 ? at : 0.0F;
  result.low = static_cast<int64_t>(at);
  // Beyond the last cell's middle: the last cell.
  if (result.low >= size - 1) {
    result.low = result.high = size - 1;
    return result;
  }
  result.high = result.low + 1;
  result.share = at - static_cast<float>(result.low);
  return result;
}

/// A corner in cells of the map.
IBOT_BOTH float cell_of(float corner, float scale) { return corner * scale - 0.5F; }

/// Where sample k of `samples` lies in a bin.
IBOT_BOTH float sample_at(float low, float bin_size, int64_t bin, int64_t k, int64_t samples) {
  return low + static_cast<float>(bin) * bin_size +
         (static_cast<float>(k) + 0.5F) * bin_size / static_cast<float>(samples);
}

/// A place between four cells of a map and their weights, which add up to 1.
struct Tap {
  int64_t cell[4];
  float weight[4];
};

IBOT_BOTH Tap tap_of(const Between& v, const Between& u, int64_t width) {
  return {{v.low * width + u.low, v.low * width + u.high, v.high * width + u.low,
           v.high * width + u.high},
          {(1 - v.share) * (1 - u.share), (1 - v.share) * u.share, v.share * (1 - u.share),
           v.share * u.share}};
}

IBOT_BOTH float weighted(const Tap& tap, float a, float b, float c, float d) {
  return tap.weight[0] * a + tap.weight[1] * b + tap.weight[2] * c + tap.weight[3] * d;
}

struct Corners {
  float x1, y1, x2, y2;
};

IBOT_BOTH float area_of(const Corners& box) { return (box.x2 - box.x1) * (box.y2 - box.y1); }

/// Intersection over union. The order of operations decides between equal boxes.
IBOT_BOTH float overlap_of(const Corners& a, float area_a, const Corners& b, float area_b) {
  const float right = b.x2 < a.x2 ? b.x2 : a.x2, left = a.x1 < b.x1 ? b.x1 : a.x1;
  const float bottom = b.y2 < a.y2 ? b.y2 : a.y2, top = a.y1 < b.y1 ? b.y1 : a.y1;
  const float width = 0 < right - left ? right - left : 0.0F;
  const float height = 0 < bottom - top ? bottom - top : 0.0F;
  const float intersection = width * height;
  return intersection / (area_a + area_b - intersection);
}

}  // namespace ibot::kernels
