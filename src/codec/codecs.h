// The decoders behind decode(), one per format.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ibot/codec/decode.h"

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

/// The header of a portable anymap; `begin` is the offset of the samples.
struct PnmHeader {
  /// The second letter: '1' to '6', or 'f' for gray floats.
  char kind = 0;
  int64_t width = 0;
  int64_t height = 0;
  int64_t max_value = 1;
  bool little_endian = false;
  size_t begin = 0;

  bool wide_gray() const { return (kind == '2' || kind == '5') && max_value > 255; }
};
PnmHeader read_pnm_header(Bytes bytes, const std::string& name);

/// Size of the screen, extended to hold the first frame; `end` is the offset after that frame's
/// last complete block.
struct GifHeader {
  int64_t width = 0;
  int64_t height = 0;
  int64_t frame_pixels = 0;
  size_t end = 0;
};
/// nullopt if the file ends before a frame begins.
std::optional<GifHeader> read_gif_header(Bytes bytes);

CheckedImage decode_jpeg(Bytes bytes, const std::string& name);
CheckedImage decode_png(Bytes bytes, const std::string& name, GrayRange range);
/// The values of one channel of 8 bits or fewer as they are stored: [H, W], uint8.
torch::Tensor decode_png_indices(Bytes bytes, const std::string& name);
CheckedImage decode_pnm(Bytes bytes, const std::string& name, GrayRange range);
/// The first frame.
Image decode_webp(Bytes bytes, const std::string& name);
Image decode_gif(Bytes bytes, const std::string& name);
Image decode_bmp(Bytes bytes, const std::string& name);

/// Whether, judging by the header, the image may have gray of more than 8 bits.
bool may_be_wide_gray(Bytes bytes, ImageFormat format);

/// The kind of a file that no decoder reads: "HEIC", "a Git LFS pointer", "text", "another kind".
std::string kind_of_other(Bytes bytes);

}  // namespace ibot::data
