#include "ibot/data/decode.h"

#include <algorithm>
#include <mutex>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/imgcodecs.hpp>

#include "data/codecs.h"
#include "data/tiff_decode.h"
#include "ibot/base/error.h"

namespace ibot::data {
namespace {

/// The 8-bit value that Pillow makes of a sample: colours keep their high byte, grey is clipped.
template <class Sample>
uint8_t to_byte(Sample sample, bool gray) {
  if constexpr (std::is_same_v<Sample, uint8_t>) return sample;
  if constexpr (std::is_same_v<Sample, uint16_t>) {
    if (!gray) return static_cast<uint8_t>(sample >> 8);
  }
  return static_cast<uint8_t>(std::clamp<Sample>(sample, 0, 255));
}

template <class Sample>
Image to_image(const cv::Mat& pixels) {
  const int channels = pixels.channels();
  Image image(pixels.rows, pixels.cols);
  for (int y = 0; y < pixels.rows; ++y) {
    const auto* from = pixels.ptr<Sample>(y);
    uint8_t* to = image.row(y);
    for (int x = 0; x < pixels.cols; ++x, from += channels, to += 3) {
      // OpenCV's order is blue, green, red, alpha.
      for (int c = 0; c < 3; ++c) to[c] = to_byte(from[channels == 1 ? 0 : 2 - c], channels == 1);
    }
  }
  return image;
}

Image to_image(const cv::Mat& pixels, const std::string& name) {
  const int channels = pixels.channels();
  IBOT_CHECK_AS(DataError, channels == 1 || channels == 3 || channels == 4, name,
                ": expected 1, 3 or 4 channels, got ", channels);
  switch (pixels.depth()) {
    case CV_8U:
      return to_image<uint8_t>(pixels);
    case CV_16U:
      return to_image<uint16_t>(pixels);
    case CV_32S:
      return to_image<int32_t>(pixels);
    case CV_32F:
      return to_image<float>(pixels);
    default:
      throw DataError(name + ": expected samples of 8 or 16 bits, 32-bit integers or floats");
  }
}

cv::Mat pixels_of(Bytes bytes, cv::ImreadModes mode, const std::string& name) {
  static std::once_flag silenced;
  std::call_once(silenced,
                 [] { cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT); });
  cv::Mat pixels;
  try {
    const cv::Mat encoded(1, static_cast<int>(bytes.size()), CV_8U,
                          const_cast<uint8_t*>(bytes.data()));
    pixels = cv::imdecode(encoded, mode);
  } catch (const cv::Exception& error) {
    throw DataError(name + ": damaged image: " + error.err);
  }
  IBOT_CHECK_AS(DataError, !pixels.empty(), name, ": truncated or damaged image");
  return pixels;
}

}  // namespace

Image decode_other(Bytes bytes, const std::string& name) {
  return to_image(pixels_of(bytes, cv::IMREAD_UNCHANGED, name), name);
}

Image decode_bmp(Bytes bytes, const std::string& name) {
  check_bmp_is_whole(bytes, name);
  return to_image(pixels_of(bytes, cv::IMREAD_COLOR, name), name);
}

CheckedImage decode_checked(std::span<const uint8_t> bytes, const std::string& name) {
  switch (read_header(bytes, name).format) {
    case ImageFormat::kJpeg:
      return decode_jpeg(bytes, name);
    case ImageFormat::kPnm:
      return {decode_pnm(bytes, name), {}};
    case ImageFormat::kPng:
      return {decode_other(essential_png(bytes, name), name), {}};
    case ImageFormat::kBmp:
      return {decode_bmp(bytes, name), {}};
    case ImageFormat::kTiff:
      return decode_tiff(bytes, DecodeOptions{}, name);
    case ImageFormat::kWebp:
      return {decode_other(bytes, name), {}};
  }
  return {};
}

Image decode(std::span<const uint8_t> bytes, const std::string& name) {
  return decode_checked(bytes, name).image;
}

}  // namespace ibot::data
