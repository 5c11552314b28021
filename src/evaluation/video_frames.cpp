#include "evaluation/video_frames.h"

namespace ibot::evaluation {

batch::Normalization frame_normalization(batch::Normalization normalization) {
  if (normalization.std == batch::Normalization().std) normalization.std[0] = 0.228;
  return normalization;
}

data::ImageSize network_size(data::ImageSize size, int64_t short_side) {
  const auto long_side = [&](int64_t from, int64_t other) {
    return short_side * from / other / 64 * 64;
  };
  if (size.height > size.width) return {long_side(size.height, size.width), short_side};
  return {short_side, long_side(size.width, size.height)};
}

}  // namespace ibot::evaluation
