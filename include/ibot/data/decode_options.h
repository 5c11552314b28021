// Options of decoding.
#pragma once

#include <cstdint>

#include "ibot/base/enum_names.h"

namespace ibot {
namespace data {

/// Which values of gray samples of more than 8 bits become 0 to 255: those that they are, the rest
/// cut off, as Pillow's convert("RGB") does; the range of their type (0 to 1 of floats); from the
/// smallest to the largest of the image.
enum class GrayRange { kClip, kType, kData };

}  // namespace data

template <>
struct EnumNames<data::GrayRange> {
  static constexpr std::array<std::pair<data::GrayRange, std::string_view>, 3> values{
      {{data::GrayRange::kClip, "clip"},
       {data::GrayRange::kType, "type"},
       {data::GrayRange::kData, "data"}}};
};

namespace data {

struct DecodeOptions {
  GrayRange gray_range = GrayRange::kClip;
  /// Pillow's limit against decompression bombs.
  int64_t max_pixels = 178956970;
};

}  // namespace data
}  // namespace ibot
