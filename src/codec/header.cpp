#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

#include "codec/codecs.h"
#include "codec/tiff_decode.h"
#include "codec/tiff_directory.h"
#include "ibot/base/error.h"

namespace ibot::data {
namespace {

struct Size {
  int64_t width = 0;
  int64_t height = 0;
};

bool starts_with(Bytes bytes, size_t position, std::string_view text) {
  return bytes.size() >= position + text.size() &&
         std::memcmp(bytes.data() + position, text.data(), text.size()) == 0;
}

/// The size in the first frame header (SOFn); nullopt if there is none.
std::optional<Size> jpeg_size(Bytes bytes) {
  size_t position = 2;
  while (position + 9 < bytes.size()) {
    const uint8_t marker = bytes[position + 1];
    if (bytes[position] != 0xFF || marker == 0xFF || marker == 0) {
      ++position;
      continue;
    }
    // 0xC4, 0xC8 and 0xCC are DHT, JPG and DAC.
    const bool frame =
        marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    // Marker (2), length (2), precision (1), height (2), width (2).
    if (frame) return Size{read_big(bytes, position + 7, 2), read_big(bytes, position + 5, 2)};
    // TEM, RSTn and SOI have no length.
    const bool alone = marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8);
    position += 2 + (alone ? 0 : read_big(bytes, position + 2, 2));
  }
  return std::nullopt;
}

std::optional<Size> png_size(Bytes bytes) {
  if (bytes.size() < 24 || !starts_with(bytes, 12, "IHDR")) return std::nullopt;
  return Size{read_big(bytes, 16, 4), read_big(bytes, 20, 4)};
}

std::optional<Size> webp_size(Bytes bytes) {
  if (bytes.size() < 30) return std::nullopt;
  // Lossy: 14 bits each after the start code. Lossless: 14 bits each, minus 1, after a signature
  // byte. Extended: the canvas, 24 bits each, minus 1.
  if (starts_with(bytes, 12, "VP8 ")) {
    return Size{read_little(bytes, 26, 2) & 0x3FFF, read_little(bytes, 28, 2) & 0x3FFF};
  }
  if (starts_with(bytes, 12, "VP8L")) {
    const uint32_t bits = read_little(bytes, 21, 4);
    return Size{(bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1};
  }
  if (starts_with(bytes, 12, "VP8X")) {
    return Size{read_little(bytes, 24, 3) + 1, read_little(bytes, 27, 3) + 1};
  }
  return std::nullopt;
}

std::optional<Size> bmp_size(Bytes bytes) {
  if (bytes.size() < 26) return std::nullopt;
  if (read_little(bytes, 14, 4) == 12) {
    return Size{read_little(bytes, 18, 2), read_little(bytes, 20, 2)};
  }
  // A negative height means that rows run from top to bottom.
  const int64_t height = static_cast<int32_t>(read_little(bytes, 22, 4));
  return Size{static_cast<int32_t>(read_little(bytes, 18, 4)), std::abs(height)};
}

/// Includes kinds that read_pnm_header() refuses by name.
bool is_pnm(Bytes bytes) {
  if (bytes.size() < 3 || bytes[0] != 'P' || bytes[1] == 0) return false;
  // strchr() also finds the terminating zero, so zero bytes are excluded.
  return std::strchr("1234567fF", bytes[1]) != nullptr &&
         std::strchr(" \t\n\v\f\r#", bytes[2]) != nullptr && bytes[2] != 0;
}

std::optional<ImageFormat> sniff(Bytes bytes) {
  if (starts_with(bytes, 0, "\xFF\xD8\xFF")) return ImageFormat::kJpeg;
  if (starts_with(bytes, 0, "\x89PNG\r\n\x1A\n")) return ImageFormat::kPng;
  if (starts_with(bytes, 0, "RIFF") && starts_with(bytes, 8, "WEBP")) return ImageFormat::kWebp;
  if (starts_with(bytes, 0, "GIF87a") || starts_with(bytes, 0, "GIF89a")) return ImageFormat::kGif;
  if (starts_with(bytes, 0, "BM")) return ImageFormat::kBmp;
  if (TiffDirectory::begins(bytes)) return ImageFormat::kTiff;
  return is_pnm(bytes) ? std::optional(ImageFormat::kPnm) : std::nullopt;
}

std::optional<Size> size_of(ImageFormat format, Bytes bytes, const std::string& name) {
  switch (format) {
    case ImageFormat::kJpeg:
      return jpeg_size(bytes);
    case ImageFormat::kPng:
      return png_size(bytes);
    case ImageFormat::kWebp:
      return webp_size(bytes);
    case ImageFormat::kGif: {
      const auto header = read_gif_header(bytes);
      return header ? std::optional(Size{header->width, header->height}) : std::nullopt;
    }
    case ImageFormat::kBmp:
      return bmp_size(bytes);
    case ImageFormat::kTiff: {
      const auto size = tiff_size(bytes);
      return size ? std::optional(Size{size->width, size->height}) : std::nullopt;
    }
    case ImageFormat::kPnm: {
      const PnmHeader header = read_pnm_header(bytes, name);
      return Size{header.width, header.height};
    }
  }
  return std::nullopt;
}

}  // namespace

std::string format_name(ImageFormat format) {
  switch (format) {
    case ImageFormat::kJpeg:
      return "JPEG";
    case ImageFormat::kPng:
      return "PNG";
    case ImageFormat::kWebp:
      return "WebP";
    case ImageFormat::kGif:
      return "GIF";
    case ImageFormat::kBmp:
      return "BMP";
    case ImageFormat::kPnm:
      return "PNM";
    case ImageFormat::kTiff:
      return "TIFF";
  }
  return "";
}

bool may_be_wide_gray(Bytes bytes, ImageFormat format) {
  // In IHDR: bit depth, then color type, 0 for gray. PNM: P2 and P5 are gray, Pf gray floats.
  constexpr size_t kPngDepth = 24;
  if (format == ImageFormat::kPng) {
    return bytes.size() > kPngDepth + 1 && bytes[kPngDepth] == 16 && bytes[kPngDepth + 1] == 0;
  }
  const bool gray_anymap = bytes[1] == '2' || bytes[1] == '5' || bytes[1] == 'f';
  return format == ImageFormat::kTiff || (format == ImageFormat::kPnm && gray_anymap);
}

ImageHeader read_header(Bytes bytes, const std::string& name, int64_t max_pixels) {
  const auto format = sniff(bytes);
  if (!format) {
    throw DataError(concat(name, ": expected an image (JPEG, PNG, WebP, GIF, BMP, PNM, TIFF), got ",
                           bytes.size(), " bytes", bytes.empty() ? ", " : " of ",
                           kind_of_other(bytes)));
  }
  const auto size = size_of(*format, bytes, name);
  IBOT_CHECK_AS(DataError, size.has_value(), name, ": ", format_name(*format),
                " file is truncated within its header");
  IBOT_CHECK_AS(DataError, size->width > 0 && size->height > 0, name, ": expected pixels, got ",
                size->width, " x ", size->height);
  // A quotient, because the product may overflow.
  IBOT_CHECK_AS(DataError, size->width <= max_pixels / size->height, name, ": expected at most ",
                max_pixels, " pixels (data.max_pixels), got ", size->width, " x ", size->height);
  return {*format, size->width, size->height};
}

}  // namespace ibot::data
