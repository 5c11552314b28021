// Pictures for tests: made here, or read by libpng alone where they are what is expected, so that
// our own decoder is not its own judge.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <opencv2/core.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "codec/encoders.h"
#include "ibot/codec/decode.h"
#include "ibot/image/crop_view.h"
#include "ibot/image/image.h"

namespace ibot::testing {

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

inline data::Image read_png(const std::filesystem::path& path) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_file(&png, path.c_str()) == 0) {
    throw std::runtime_error("no picture in " + path.string());
  }
  png.format = PNG_FORMAT_RGB;
  data::Image image(png.height, png.width);
  if (png_image_finish_read(&png, nullptr, image.row(0), 0, nullptr) == 0) {
    throw std::runtime_error(path.string() + ": " + png.message);
  }
  return image;
}

inline data::Image read_picture(const std::filesystem::path& path) {
  return path.extension() == ".png" ? read_png(path)
                                    : data::decode(read_bytes(path), path.string());
}

/// Smooth colors that differ between `variant`s, with some texture.
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
