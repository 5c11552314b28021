// Files for tests, written by each format's own library, or by hand where the format is trivial.
#pragma once

#include <png.h>
#include <webp/encode.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <opencv2/core.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>
// jpeglib.h needs <cstdio>.
#include <jpeglib.h>

namespace ibot::testing {

using Bytes = std::vector<uint8_t>;

inline void append_little(Bytes& bytes, std::initializer_list<std::pair<uint32_t, int>> numbers) {
  for (const auto& [value, size] : numbers) {
    for (int i = 0; i < size; ++i) {
      bytes.push_back(i < 4 ? static_cast<uint8_t>(value >> 8 * i) : uint8_t{0});
    }
  }
}

/// Row `y` in the order red, green, blue, alpha, which OpenCV stores the other way round; samples
/// of 16 bits with the high byte first.
inline Bytes rgb_row(const cv::Mat& pixels, int y) {
  Bytes row;
  const int channels = pixels.channels();
  const bool wide = pixels.depth() == CV_16U;
  for (int i = 0; i < pixels.cols * channels; ++i) {
    const int c = i % channels;
    const int from = i - c + (channels >= 3 && c < 3 ? 2 - c : c);
    const int value = wide ? pixels.ptr<uint16_t>(y)[from] : pixels.ptr<uint8_t>(y)[from];
    if (wide) row.push_back(static_cast<uint8_t>(value >> 8));
    row.push_back(static_cast<uint8_t>(value));
  }
  return row;
}

inline Bytes png_of(const cv::Mat& pixels) {
  Bytes bytes;
  auto* png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  auto* info = png_create_info_struct(png);
  const auto append = [](png_structp writer, png_bytep data, size_t size) {
    auto& to = *static_cast<Bytes*>(png_get_io_ptr(writer));
    to.insert(to.end(), data, data + size);
  };
  png_set_write_fn(png, &bytes, append, nullptr);
  constexpr int kColors[]{0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GA, PNG_COLOR_TYPE_RGB,
                          PNG_COLOR_TYPE_RGBA};
  png_set_IHDR(png, info, pixels.cols, pixels.rows, pixels.depth() == CV_16U ? 16 : 8,
               kColors[pixels.channels()], PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  for (int y = 0; y < pixels.rows; ++y) png_write_row(png, rgb_row(pixels, y).data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return bytes;
}

inline Bytes jpeg_of(const cv::Mat& pixels, bool progressive = false) {
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* data = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &data, &size);
  jpeg.image_width = pixels.cols;
  jpeg.image_height = pixels.rows;
  jpeg.input_components = 3;
  jpeg.in_color_space = JCS_RGB;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, 95, TRUE);
  if (progressive) jpeg_simple_progression(&jpeg);
  jpeg_start_compress(&jpeg, TRUE);
  for (int y = 0; y < pixels.rows; ++y) {
    Bytes row = rgb_row(pixels, y);
    JSAMPROW rows[]{row.data()};
    jpeg_write_scanlines(&jpeg, rows, 1);
  }
  jpeg_finish_compress(&jpeg);
  const Bytes bytes(data, data + size);
  jpeg_destroy_compress(&jpeg);
  std::free(data);
  return bytes;
}

/// Without loss.
inline Bytes webp_of(const cv::Mat& pixels) {
  uint8_t* data = nullptr;
  const size_t size = WebPEncodeLosslessBGR(pixels.data, pixels.cols, pixels.rows,
                                            static_cast<int>(pixels.step), &data);
  const Bytes bytes(data, data + size);
  WebPFree(data);
  return bytes;
}

inline Bytes bmp_of(const cv::Mat& pixels) {
  Bytes bytes{'B', 'M'};
  append_little(bytes, {{0, 8}, {54, 4}, {40, 4}});
  append_little(bytes,
                {{static_cast<uint32_t>(pixels.cols), 4}, {static_cast<uint32_t>(pixels.rows), 4}});
  append_little(bytes, {{1, 2}, {24, 2}, {0, 24}});
  for (int y = pixels.rows - 1; y >= 0; --y) {
    bytes.insert(bytes.end(), pixels.ptr<uint8_t>(y), pixels.ptr<uint8_t>(y) + 3 * pixels.cols);
    bytes.resize((bytes.size() - 54 + 3) / 4 * 4 + 54);
  }
  return bytes;
}

inline Bytes ppm_of(const cv::Mat& pixels) {
  const auto header =
      "P6 " + std::to_string(pixels.cols) + ' ' + std::to_string(pixels.rows) + " 255\n";
  Bytes bytes(header.begin(), header.end());
  for (int y = 0; y < pixels.rows; ++y) {
    const Bytes row = rgb_row(pixels, y);
    bytes.insert(bytes.end(), row.begin(), row.end());
  }
  return bytes;
}

/// One strip without compression, behind the directory and the three depths of 8 bits.
inline Bytes tiff_of(const cv::Mat& pixels) {
  constexpr uint32_t kEntries = 9;
  constexpr uint32_t kDepths = 8 + 2 + 12 * kEntries + 4;
  constexpr uint32_t kStrip = kDepths + 6;
  const auto width = static_cast<uint32_t>(pixels.cols);
  const auto height = static_cast<uint32_t>(pixels.rows);
  Bytes bytes{'I', 'I', 42, 0, 8, 0, 0, 0};
  append_little(bytes, {{kEntries, 2}});
  const auto entry = [&](uint32_t tag, uint32_t type, uint32_t count, uint32_t value) {
    append_little(bytes, {{tag, 2}, {type, 2}, {count, 4}, {value, 4}});
  };
  entry(256, 4, 1, width);
  entry(257, 4, 1, height);
  entry(258, 3, 3, kDepths);
  entry(259, 4, 1, 1);
  entry(262, 4, 1, 2);
  entry(273, 4, 1, kStrip);
  entry(277, 4, 1, 3);
  entry(278, 4, 1, height);
  entry(279, 4, 1, width * height * 3);
  append_little(bytes, {{0, 4}, {8, 2}, {8, 2}, {8, 2}});
  for (int y = 0; y < pixels.rows; ++y) {
    const Bytes row = rgb_row(pixels, y);
    bytes.insert(bytes.end(), row.begin(), row.end());
  }
  return bytes;
}

/// A file of the kind that `extension` names, such as ".jpg".
inline Bytes encoded(const cv::Mat& pixels, const std::string& extension) {
  if (extension == ".png") return png_of(pixels);
  if (extension == ".jpg") return jpeg_of(pixels);
  if (extension == ".webp") return webp_of(pixels);
  if (extension == ".bmp") return bmp_of(pixels);
  if (extension == ".ppm") return ppm_of(pixels);
  if (extension == ".tiff") return tiff_of(pixels);
  throw std::runtime_error("no encoder of " + extension);
}

}  // namespace ibot::testing
