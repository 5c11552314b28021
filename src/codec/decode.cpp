#include "ibot/codec/decode.h"

#include <utility>

#include "codec/codecs.h"
#include "codec/orientation.h"
#include "codec/tiff_decode.h"

namespace ibot::data {

ImageHeader read_header(std::span<const uint8_t> bytes, const std::string& name,
                        const DecodeOptions& options) {
  auto header = read_header(bytes, name, options.max_pixels);
  const bool may_turn = options.exif_orientation && header.format == ImageFormat::kJpeg;
  if (may_turn && exif_orientation(bytes) >= 5) std::swap(header.width, header.height);
  return header;
}

CheckedImage decode_checked(std::span<const uint8_t> bytes, const std::string& name,
                            const DecodeOptions& options) {
  switch (read_header(bytes, name, options.max_pixels).format) {
    case ImageFormat::kJpeg: {
      auto checked = decode_jpeg(bytes, name);
      if (options.exif_orientation) {
        checked.image = oriented(std::move(checked.image), exif_orientation(bytes));
      }
      return checked;
    }
    case ImageFormat::kPng:
      return decode_png(bytes, name, options.gray_range);
    case ImageFormat::kPnm:
      return decode_pnm(bytes, name, options.gray_range);
    case ImageFormat::kWebp:
      return {decode_webp(bytes, name), {}, {}};
    case ImageFormat::kGif:
      return {decode_gif(bytes, name), {}, {}};
    case ImageFormat::kBmp:
      return {decode_bmp(bytes, name), {}, {}};
    case ImageFormat::kTiff:
      return decode_tiff(bytes, options, name);
  }
  return {};
}

Image decode_truncated(std::span<const uint8_t> bytes, const std::string& name,
                       const DecodeOptions& options) {
  if (read_header(bytes, name, options.max_pixels).format != ImageFormat::kJpeg) {
    return decode(bytes, name, options);
  }
  // An end of image, behind which libjpeg asks for no more.
  std::vector<uint8_t> ended(bytes.begin(), bytes.end());
  ended.insert(ended.end(), {0xff, 0xd9});
  return decode(ended, name, options);
}

Image decode(std::span<const uint8_t> bytes, const std::string& name,
             const DecodeOptions& options) {
  return decode_checked(bytes, name, options).image;
}

}  // namespace ibot::data
