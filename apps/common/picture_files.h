// Tensors as picture files.
#pragma once

#include <torch/types.h>

#include <cstring>
#include <string>

#include "ibot/data/picture_files.h"
#include "ibot/eval/page.h"

namespace ibot::apps {

/// A picture [H, W, 3] uint8.
inline data::Image image_of(const torch::Tensor& picture) {
  const auto pixels = picture.contiguous();
  data::Image image(pixels.size(0), pixels.size(1));
  std::memcpy(image.row(0), pixels.const_data_ptr<uint8_t>(), pixels.nbytes());
  return image;
}

inline std::string png_of(const torch::Tensor& picture) {
  return data::png_bytes(image_of(picture));
}

/// For a page, as a JPEG.
inline eval::Figure figure_of(const std::string& caption, const torch::Tensor& picture) {
  constexpr int kQuality = 85;
  return {caption, "image/jpeg", data::jpeg_bytes(image_of(picture), kQuality)};
}

}  // namespace ibot::apps
