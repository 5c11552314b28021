// The pixels of one crop within a batch.
#pragma once

#include <cstdint>

namespace ibot::data {

/// Three consecutive planes (red, green, blue) of height x width bytes: the layout of one row of a
/// [B, 3, H, W] tensor, into which crops are written and in which they are augmented in place.
/// Non-owning.
struct CropView {
  uint8_t* data = nullptr;
  int64_t height = 0;
  int64_t width = 0;

  int64_t plane_size() const { return height * width; }
  uint8_t* plane(int64_t channel) const { return data + channel * plane_size(); }
};

}  // namespace ibot::data
