// Pictures for tests: made here, or read by OpenCV alone, so that our own decoder is not its own
// judge.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <opencv2/imgcodecs.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "ibot/data/crop_view.h"
#include "ibot/data/image.h"

namespace ibot::testing {

using Bytes = std::vector<uint8_t>;

inline Bytes read_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_bytes(const std::filesystem::path& path, const Bytes& bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

/// A crop that owns its planes.
struct Crop {
  Crop(int64_t rows, int64_t columns) : height(rows), width(columns), pixels(3 * rows * columns) {}
  data::CropView view() { return {pixels.data(), height, width}; }
  uint8_t& at(int64_t channel, int64_t y, int64_t x) {
    return pixels[(channel * height + y) * width + x];
  }

  int64_t height;
  int64_t width;
  Bytes pixels;
};

inline Crop to_crop(const data::Image& image) {
  Crop crop(image.height(), image.width());
  for (int64_t y = 0; y < crop.height; ++y) {
    for (int64_t x = 0; x < crop.width; ++x) {
      for (int64_t c = 0; c < 3; ++c) crop.at(c, y, x) = image.row(y)[3 * x + c];
    }
  }
  return crop;
}

inline data::Image read_picture(const std::filesystem::path& path) {
  const cv::Mat pixels =
      cv::imread(path.string(), cv::IMREAD_COLOR | cv::IMREAD_IGNORE_ORIENTATION);
  if (pixels.empty()) throw std::runtime_error("no picture in " + path.string());
  data::Image image(pixels.rows, pixels.cols);
  for (int y = 0; y < pixels.rows; ++y) {
    for (int x = 0; x < pixels.cols; ++x) {
      for (int c = 0; c < 3; ++c) image.row(y)[3 * x + c] = pixels.ptr<uint8_t>(y)[3 * x + 2 - c];
    }
  }
  return image;
}

/// Smooth colours that differ between `variant`s, with some texture.
inline cv::Mat drawing(int height, int width, int variant = 0) {
  cv::Mat pixels(height, width, CV_8UC3);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      auto* pixel = pixels.ptr<uint8_t>(y) + 3 * x;
      pixel[0] = static_cast<uint8_t>(3 * x + 17 * variant);
      pixel[1] = static_cast<uint8_t>(5 * y + 31 * variant);
      pixel[2] = static_cast<uint8_t>(x * y + 7 * variant);
    }
  }
  return pixels;
}

/// A file of the kind that `extension` names, such as ".jpg".
inline Bytes encoded(const cv::Mat& pixels, const std::string& extension,
                     const std::vector<int>& parameters = {}) {
  Bytes bytes;
  if (!cv::imencode(extension, pixels, bytes, parameters)) throw std::runtime_error(extension);
  return bytes;
}

inline Bytes jpeg(int variant = 0, int height = 40, int width = 48) {
  return encoded(drawing(height, width, variant), ".jpg");
}

/// Largest and mean absolute difference.
struct Difference {
  int max = 0;
  double mean = 0;
};

inline Difference difference(const Crop& actual, const Crop& expected) {
  if (actual.height != expected.height || actual.width != expected.width) return {256, 256};
  Difference result;
  for (size_t i = 0; i < actual.pixels.size(); ++i) {
    const int levels = std::abs(int{actual.pixels[i]} - int{expected.pixels[i]});
    result.max = std::max(result.max, levels);
    result.mean += levels;
  }
  result.mean /= static_cast<double>(actual.pixels.size());
  return result;
}

}  // namespace ibot::testing
