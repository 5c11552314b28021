// The decoders behind decode(), one a format.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ibot/data/decode.h"

namespace ibot::data {

using Bytes = std::span<const uint8_t>;

/// Big- and little-endian numbers at `position`, which must leave `size` bytes.
inline uint32_t read_big(Bytes bytes, size_t position, int size) {
  uint32_t value = 0;
  for (int i = 0; i < size; ++i) value = value << 8 | bytes[position + i];
  return value;
}
inline uint32_t read_little(Bytes bytes, size_t position, int size) {
  uint32_t value = 0;
  for (int i = size - 1; i >= 0; --i) value = value << 8 | bytes[position + i];
  return value;
}

/// Width, height and the rest of a portable anymap's header; `begin` is where the samples begin.
struct PnmHeader {
  int kind = 0;
  int64_t width = 0;
  int64_t height = 0;
  int64_t max_value = 1;
  size_t begin = 0;
};
PnmHeader read_pnm_header(Bytes bytes, const std::string& name);

CheckedImage decode_jpeg(Bytes bytes, const std::string& name);
Image decode_pnm(Bytes bytes, const std::string& name);
/// PNG and WebP by OpenCV.
Image decode_other(Bytes bytes, const std::string& name);
/// BMP likewise, always as colours: of files with an OS/2 header OpenCV else makes grey.
Image decode_bmp(Bytes bytes, const std::string& name);

/// The chunks of a PNG that decide pixels, their checksums verified: libpng writes to stderr about
/// damage and about ancillary chunks it dislikes, and cannot be told not to through OpenCV. The end
/// of the file may be missing behind the last pixel.
std::vector<uint8_t> essential_png(Bytes bytes, const std::string& name);

/// Throws DataError when a BMP ends before its pixels do: OpenCV would write to stderr.
void check_bmp_is_whole(Bytes bytes, const std::string& name);

}  // namespace ibot::data
