// Decoding of image files.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "ibot/codec/decode_options.h"
#include "ibot/image/image.h"

namespace ibot::data {

/// Incremented when decode() produces other pixels from the same bytes, which invalidates cached
/// features.
inline constexpr int64_t kDecodingVersion = 2;

enum class ImageFormat { kJpeg, kPng, kWebp, kGif, kBmp, kPnm, kTiff };

/// "JPEG", "PNG", … for messages.
std::string format_name(ImageFormat format);

/// Format and size, read from the first bytes of an image.
struct ImageHeader {
  ImageFormat format{};
  int64_t width = 0;
  int64_t height = 0;
};

/// Reads format and size from the content, whatever the file's name. Throws DataError, naming the
/// file and its kind, if the bytes are not an image of a known format, or one without pixels or
/// with more than `max_pixels`. Allocates nothing.
ImageHeader read_header(std::span<const uint8_t> bytes, const std::string& name,
                        int64_t max_pixels = DecodeOptions{}.max_pixels);

/// The same of the decoded image: turned as `options` say.
ImageHeader read_header(std::span<const uint8_t> bytes, const std::string& name,
                        const DecodeOptions& options);

/// The pixels that `PIL.Image.open(file).convert("RGB")` gives: the first of several frames; alpha
/// dropped, not blended; gray copied to three channels, gray of more than 8 bits by
/// `options.gray_range`; of other 16-bit samples the high byte; CMYK taken as stored inverted;
/// gamma and color profiles ignored, the EXIF orientation unless `options` ask for it; TIFF's
/// orientation applied. A JPEG, PNG
/// or GIF may lack its end once all pixels are there.
///
/// Throws DataError, naming the file, if it is truncated, damaged or refused by read_header, or a
/// JPEG of more than 256 scans. Prints nothing. Thread-safe.
///
/// Source: Pillow 12.2; JPEG with libjpeg-turbo's accurate integer IDCT and smooth upsampling.
Image decode(std::span<const uint8_t> bytes, const std::string& name,
             const DecodeOptions& options = {});

/// Like decode, but a JPEG that ends early gives what is there, with the rest gray.
///
/// Source: Pillow 12.2 with LOAD_TRUNCATED_IMAGES.
Image decode_truncated(std::span<const uint8_t> bytes, const std::string& name,
                       const DecodeOptions& options = {});

/// An image and its decoder's complaints.
struct CheckedImage {
  Image image;
  /// First warning of libjpeg or libtiff, such as corrupt entropy-coded data; empty if none, and
  /// for other formats.
  std::string warning;
  /// A remark on the values: gray samples of more than 8 bits that were clipped.
  std::string notice;
};

/// As decode(); the pixels are the same whether or not there is a warning.
CheckedImage decode_checked(std::span<const uint8_t> bytes, const std::string& name,
                            const DecodeOptions& options = {});

}  // namespace ibot::data
