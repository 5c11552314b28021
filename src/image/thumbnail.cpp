#include "ibot/image/thumbnail.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ibot/base/error.h"

namespace ibot::data {
namespace {

// How much larger than its final size an image of averages is at least.
constexpr double kReducingGap = 2.0;

/// Of the two integers around `exact` the one that `error` makes less of, at least 1.
template <class Error>
int64_t nearest_aspect(double exact, const Error& error) {
  const double below = std::floor(exact);
  const double above = std::ceil(exact);
  // As Python's min over both: the lower one of equals.
  const double best = error(above) < error(below) ? above : below;
  return std::max<int64_t>(static_cast<int64_t>(best), 1);
}

int64_t reduction(int64_t from, int64_t to) {
  const auto factor =
      static_cast<int64_t>(static_cast<double>(from) / static_cast<double>(to) / kReducingGap);
  return std::max<int64_t>(factor, 1);
}

/// Rounded averages as Pillow takes them: a division by a multiplication of 24 fractional bits.
class Average {
 public:
  explicit Average(int64_t count)
      : half_(static_cast<uint32_t>(count / 2)),
        reciprocal_(static_cast<uint32_t>(4294967296.0 / static_cast<double>(256 * count))) {}
  uint8_t of(uint32_t sum) const { return static_cast<uint8_t>((sum + half_) * reciprocal_ >> 24); }

 private:
  uint32_t half_;
  uint32_t reciprocal_;
};

/// The average of one cell, in each channel; cells at the right and lower edge may be smaller.
void average_cell(const Image& image, const Box& cell, uint8_t* out) {
  const Average average(cell.height * cell.width);
  for (int64_t channel = 0; channel < 3; ++channel) {
    uint32_t sum = 0;
    for (int64_t y = cell.top; y < cell.top + cell.height; ++y) {
      const uint8_t* pixel = image.row(y) + 3 * cell.left + channel;
      for (int64_t x = 0; x < cell.width; ++x) sum += pixel[3 * x];
    }
    out[channel] = average.of(sum);
  }
}

/// Averages of cells of `cell` pixels within `box`.
Image reduced(const Image& image, const Box& box, ImageSize cell) {
  Image out((box.height + cell.height - 1) / cell.height,
            (box.width + cell.width - 1) / cell.width);
  for (int64_t y = 0; y < out.height(); ++y) {
    for (int64_t x = 0; x < out.width(); ++x) {
      const int64_t top = y * cell.height;
      const int64_t left = x * cell.width;
      average_cell(image,
                   {box.top + top, box.left + left, std::min(cell.height, box.height - top),
                    std::min(cell.width, box.width - left)},
                   out.row(y) + 3 * x);
    }
  }
  return out;
}

/// Fills `out` with what the plan, whose crop is the whole resized image, shows.
torch::Tensor shown(const Image& image, const ResizePlan& plan) {
  auto pixels = torch::empty({3, plan.height, plan.width}, torch::kByte);
  thread_local ColumnPlanes planes;
  planes.assign(image);
  resized_crop(planes, plan, {pixels.mutable_data_ptr<uint8_t>(), plan.height, plan.width});
  return pixels;
}

}  // namespace

ImageSize thumbnail_size(ImageSize size, ImageSize limits) {
  if (size.height <= limits.height && size.width <= limits.width) return size;
  const auto height = static_cast<double>(limits.height);
  const auto width = static_cast<double>(limits.width);
  const double aspect = static_cast<double>(size.width) / static_cast<double>(size.height);
  if (width / height >= aspect) {
    return {limits.height, nearest_aspect(height * aspect, [&](double candidate) {
              return std::abs(aspect - candidate / height);
            })};
  }
  return {nearest_aspect(width / aspect,
                         [&](double candidate) {
                           return candidate == 0.0 ? 0.0 : std::abs(aspect - width / candidate);
                         }),
          limits.width};
}

torch::Tensor thumbnail(const Image& image, const Box& box, ImageSize limits) {
  const auto size = thumbnail_size({box.height, box.width}, limits);
  // Pillow's reducing_gap: large images are averaged in whole cells before Lanczos.
  const ImageSize cell{reduction(box.height, size.height), reduction(box.width, size.width)};
  ResizePlan plan{
      .box = box, .height = size.height, .width = size.width, .filter = Filter::kLanczos};
  if (cell == ImageSize{1, 1}) return shown(image, plan);
  IBOT_CHECK(box.top >= 0 && box.left >= 0 && box.top + box.height <= image.height() &&
                 box.left + box.width <= image.width(),
             "thumbnail: expected a box within the image");
  const auto small = reduced(image, box, cell);
  plan.box = {0, 0, small.height(), small.width()};
  // The last cell may be smaller: the box covers a fraction of it.
  plan.covered_height = static_cast<double>(box.height) / static_cast<double>(cell.height);
  plan.covered_width = static_cast<double>(box.width) / static_cast<double>(cell.width);
  return shown(small, plan);
}

torch::Tensor thumbnail(const Image& image, ImageSize limits) {
  return thumbnail(image, {0, 0, image.height(), image.width()}, limits);
}

torch::Tensor resized(const Image& image, int64_t height, int64_t width) {
  return shown(image,
               {.box = {0, 0, image.height(), image.width()}, .height = height, .width = width});
}

}  // namespace ibot::data
