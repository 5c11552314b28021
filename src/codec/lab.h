// CIE Lab to sRGB.
#pragma once

#include <cstdint>

namespace ibot::data {

/// Converts `count` pixels, `step` bytes apart, of L in [0, 255] and signed a and b, to RGB.
///
/// Source: Little CMS 2.18 as Pillow calls it: perceptual intent between its built-in profiles of
/// Lab (D50) and sRGB, a table of 33 x 33 x 33 16-bit colors, tetrahedral interpolation.
void lab_to_rgb(const uint8_t* from, int64_t step, int64_t count, uint8_t* to);

}  // namespace ibot::data
