#include "ibot/image/linear_resize.h"

#include <algorithm>
#include <opencv2/imgproc.hpp>

namespace ibot::data {
namespace {

ImageSize scaled(ImageSize size, double factor) {
  // mmcv's rounding: int(x + 0.5).
  const auto side = [factor](int64_t pixels) {
    return static_cast<int64_t>(static_cast<double>(pixels) * factor + 0.5);
  };
  return {std::max<int64_t>(side(size.height), 1), std::max<int64_t>(side(size.width), 1)};
}

double ratio(int64_t wanted, int64_t given) {
  return static_cast<double>(wanted) / static_cast<double>(given);
}

/// A view; OpenCV has no type for pixels that are only read.
cv::Mat view(const void* pixels, int64_t height, int64_t width, int type) {
  return {static_cast<int>(height), static_cast<int>(width), type, const_cast<void*>(pixels)};
}

}  // namespace

ImageSize size_within(ImageSize size, int64_t long_side, int64_t short_side) {
  const auto [least, most] = std::minmax(size.height, size.width);
  // mmcv's rescale_size: within both limits.
  return scaled(size, std::min(ratio(long_side, most), ratio(short_side, least)));
}

ImageSize size_of_short_side(ImageSize size, int64_t short_side) {
  return scaled(size, ratio(short_side, std::min(size.height, size.width)));
}

Image linear_resized(const Image& image, ImageSize size) {
  Image out(size.height, size.width);
  auto to = view(out.row(0), size.height, size.width, CV_8UC3);
  cv::resize(view(image.row(0), image.height(), image.width(), CV_8UC3), to, to.size(), 0, 0,
             cv::INTER_LINEAR);
  return out;
}

torch::Tensor nearest_resized(const torch::Tensor& map, ImageSize size) {
  TORCH_INTERNAL_ASSERT(map.scalar_type() == torch::kByte);
  const auto from = map.contiguous();
  auto out = torch::empty({size.height, size.width}, torch::kByte);
  // OpenCV's rule: source floor(target · from / to), without half a pixel.
  auto to = view(out.data_ptr(), size.height, size.width, CV_8UC1);
  cv::resize(view(from.data_ptr(), from.size(0), from.size(1), CV_8UC1), to, to.size(), 0, 0,
             cv::INTER_NEAREST);
  return out;
}

}  // namespace ibot::data
