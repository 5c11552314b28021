// Gray samples of more than 8 bits.
#pragma once

#include <cstdint>
#include <span>

#include "ibot/data/decode.h"
#include "ibot/data/decode_options.h"

namespace ibot::data {

/// The RGB image of height x width gray samples, row by row, and a notice that tells the share of
/// those beyond 255 where they are cut off ("gray of 16 bits: 94 % of pixels above 255"). Sample is
/// uint16_t, int16_t, uint32_t, int32_t or float; `bits` is how many of them the file has, and what
/// kType scales by (unsigned from 0 to 2^bits - 1, signed likewise about 0, floats from 0 to 1).
template <class Sample>
CheckedImage image_of_wide_gray(std::span<const Sample> samples, int64_t height, int64_t width,
                                int bits, GrayRange range);

}  // namespace ibot::data
