// A decoded image.
#pragma once

#include <cstdint>
#include <memory>

namespace ibot::data {

/// Owns 8-bit RGB pixels, [height, width, 3] in row-major order.
class Image {
 public:
  Image() = default;
  /// The pixels are left uninitialized.
  Image(int64_t height, int64_t width)
      : height_(height), width_(width), data_(new uint8_t[3 * height * width]) {}

  int64_t height() const { return height_; }
  int64_t width() const { return width_; }
  uint8_t* row(int64_t y) { return data_.get() + 3 * width_ * y; }
  const uint8_t* row(int64_t y) const { return data_.get() + 3 * width_ * y; }

 private:
  int64_t height_ = 0;
  int64_t width_ = 0;
  std::unique_ptr<uint8_t[]> data_;
};

}  // namespace ibot::data
