// Where the pixels of one crop lie.
#pragma once

#include <cstdint>

namespace ibot::data {

/// Three planes (red, green, blue) of height x width bytes, one after the other: the layout of one
/// row of a [B, 3, H, W] tensor, in which crops are made and changed in place. Owns nothing.
struct CropView {
  uint8_t* data = nullptr;
  int64_t height = 0;
  int64_t width = 0;

  int64_t plane_size() const { return height * width; }
  uint8_t* plane(int64_t channel) const { return data + channel * plane_size(); }
};

}  // namespace ibot::data
