// Gray samples of more than 8 bits.
#pragma once

#include <cstdint>
#include <span>

#include "ibot/codec/decode.h"
#include "ibot/codec/decode_options.h"

namespace ibot::data {

/// The RGB image of [height, width] gray samples; if samples are clipped, with a notice of the
/// share that is lost ("gray of 16 bits: 94 % of pixels above 255"). Sample is uint16_t, int16_t,
/// uint32_t, int32_t or float; `bits` is the bit depth in the file, by which kType scales (unsigned
/// from 0 to 2^bits - 1, signed from -2^(bits - 1), floats from 0 to 1). Scaled values are rounded,
/// clipped ones truncated; NaN and constant images become 0.
///
/// Source of clipping: Pillow 12.2, convert("RGB") of modes I;16, I and F; mode I is signed, so
/// that uint32_t samples from 2^31 on become 0.
template <class Sample>
CheckedImage image_of_wide_gray(std::span<const Sample> samples, int64_t height, int64_t width,
                                int bits, GrayRange range);

}  // namespace ibot::data
