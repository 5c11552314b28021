// Options of decoding.
#pragma once

#include <cstdint>

#include "ibot/base/enum_names.h"
#include "ibot/base/error.h"
#include "ibot/base/fields.h"

namespace ibot {
namespace data {

/// Which values of gray samples of more than 8 bits map to [0, 255]. kClip: [0, 255] itself, other
/// values clipped, as Pillow's convert("RGB") does. kType: the range of the type, [0, 1] for
/// floats. kData: from the smallest to the largest value of the image.
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

/// A part of the section `data`.
struct DecodeOptions {
  GrayRange gray_range = GrayRange::kClip;
  /// Pillow's limit against decompression bombs.
  int64_t max_pixels = 178956970;
  /// Turn a JPEG as its EXIF data say; not a key: what reads the images decides it.
  bool exif_orientation = false;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("gray_range", gray_range,
          "conversion of gray with more than 8 bits: clip (at 255, as Pillow) | type (scaled from "
          "the "
          "range of its type) | data (scaled from its smallest to its largest value)");
    field("max_pixels", max_pixels, "largest image in pixels; larger ones are unreadable");
  }

  void validate() const {
    check_option(max_pixels > 0, "max_pixels", "expected above 0, got ", max_pixels);
  }
};

/// As OpenCV decodes: images of segmentation and detection.
inline DecodeOptions as_opencv(DecodeOptions options) {
  options.exif_orientation = true;
  return options;
}

}  // namespace data
}  // namespace ibot
