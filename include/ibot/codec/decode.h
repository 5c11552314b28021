// From the bytes of a file to pixels.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "ibot/codec/decode_options.h"
#include "ibot/image/image.h"

namespace ibot::data {

/// Goes up when decode makes other pixels of the same bytes, so that what was computed from the
/// former ones is not taken for the same.
inline constexpr int64_t kDecodingVersion = 2;

enum class ImageFormat { kJpeg, kPng, kWebp, kGif, kBmp, kPnm, kTiff };

/// "JPEG", "PNG", … as shown to a reader.
std::string format_name(ImageFormat format);

/// What the first bytes of an image say.
struct ImageHeader {
  ImageFormat format{};
  int64_t width = 0;
  int64_t height = 0;
};

/// Reads format and size from the content, whatever the file's name. Throws DataError, naming the
/// file and what it is, when the bytes are no image of a known format, or one without pixels or of
/// more than `max_pixels`. Allocates nothing.
ImageHeader read_header(std::span<const uint8_t> bytes, const std::string& name,
                        int64_t max_pixels = DecodeOptions{}.max_pixels);

/// The pixels as `PIL.Image.open(file).convert("RGB")` gives them: of several frames the first;
/// alpha dropped, not blended; gray copied to three channels, gray of more than 8 bits as
/// `options.gray_range` says; the high byte of other samples of 16 bits; CMYK taken as stored
/// inverted; gamma, colour profiles and the orientation of EXIF ignored, that of TIFF applied; the
/// end of a JPEG, PNG or GIF not missed once all pixels are there.
///
/// Throws DataError, naming the file, when it is truncated, damaged or refused by read_header, or a
/// JPEG of more than 256 scans. Prints nothing.
///
/// Source: Pillow 12.2; JPEG by libjpeg-turbo's accurate integer transform and smooth upsampling.
Image decode(std::span<const uint8_t> bytes, const std::string& name,
             const DecodeOptions& options = {});

/// An image, and what its decoder disliked.
struct CheckedImage {
  Image image;
  /// libjpeg's first warning, such as of entropy-coded data that are corrupt; empty where there is
  /// none, and for other formats.
  std::string warning;
  /// What a reader should know of the values: gray samples of more than 8 bits that are cut off.
  std::string notice;
};

/// As decode; `image` holds the same pixels, whatever the warning.
CheckedImage decode_checked(std::span<const uint8_t> bytes, const std::string& name,
                            const DecodeOptions& options = {});

}  // namespace ibot::data
