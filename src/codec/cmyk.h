// CMYK to RGB.
#pragma once

#include <algorithm>
#include <cstdint>

namespace ibot::data {

/// `light` (255 - black) reduced by an ink of 0 to 255: light - ink * light / 255, rounded as
/// Pillow rounds.
inline uint8_t without_ink(int ink, int light) {
  const int product = ink * light + 128;
  return static_cast<uint8_t>(std::clamp(light - (((product >> 8) + product) >> 8), 0, 255));
}

}  // namespace ibot::data
