// Blending of two values as Pillow does.
#pragma once

#include <algorithm>
#include <cstdint>

#include "image/simd.h"

namespace ibot::data {

/// base + factor * (value - base) in float32, clipped and truncated.
IBOT_SIMD_PART inline uint8_t blend(int base, int value, float factor) {
  const float mixed = static_cast<float>(base) + factor * static_cast<float>(value - base);
  return static_cast<uint8_t>(static_cast<int>(std::min(std::max(mixed, 0.0F), 255.0F)));
}

}  // namespace ibot::data
