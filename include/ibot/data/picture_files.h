// Pictures and videos as files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "ibot/image/image.h"

namespace ibot::data {

/// The pixels without loss, as a PNG of 8-bit RGB. Throws Error where memory is lacking.
std::string png_bytes(const Image& image);

/// A baseline JPEG, colors at half the resolution; `quality` from 1 to 100, of which 75 is
/// Pillow's. Throws as png_bytes.
std::string jpeg_bytes(const Image& image, int quality);

/// Frames that become an AVI of JPEGs, which players read without a codec of their own. Held
/// compressed until they are written.
class Video {
 public:
  explicit Video(double frames_per_second) : rate_(frames_per_second) {}

  /// Throws Error where its size is not that of the first frame.
  void add(const Image& frame);
  int64_t frames() const { return static_cast<int64_t>(frames_.size()); }
  /// Throws Error without a frame, above 2 GiB, and where the file cannot be written.
  void write(const std::filesystem::path& path) const;

 private:
  double rate_;
  int64_t height_ = 0;
  int64_t width_ = 0;
  std::vector<std::string> frames_;
};

}  // namespace ibot::data
