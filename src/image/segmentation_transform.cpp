#include "ibot/image/segmentation_transform.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <opencv2/imgproc.hpp>

namespace ibot::data {
namespace {

// mmsegmentation's constants of crops and PhotoMetricDistortion; hues are OpenCV's half degrees.
constexpr int kTries = 10;
constexpr double kBrightness = 32.0;
constexpr int kHues = 180;
constexpr int64_t kHueShift = 18;

/// value · factor + added, cut off to 8 bits, of all values or one channel of three.
void convert_(cv::Mat& pixels, double factor, double added, int first = 0, int step = 1) {
  // In float32, cut off and truncated as mmsegmentation's convert, for each of 256 values once.
  std::array<uint8_t, 256> table{};
  for (size_t value = 0; value < table.size(); ++value) {
    const float result =
        static_cast<float>(value) * static_cast<float>(factor) + static_cast<float>(added);
    table[value] = static_cast<uint8_t>(std::clamp(result, 0.0F, 255.0F));
  }
  const auto end = static_cast<int64_t>(pixels.total() * pixels.elemSize());
  for (int64_t i = first; i < end; i += step) pixels.data[i] = table[pixels.data[i]];
}

template <class Change>
void change_hsv_(cv::Mat& pixels, const Change& change) {
  cv::Mat hsv;
  cv::cvtColor(pixels, hsv, cv::COLOR_RGB2HSV);
  change(hsv);
  cv::cvtColor(hsv, pixels, cv::COLOR_HSV2RGB);
}

void shift_hue_(cv::Mat& hsv, int shift) {
  const auto end = static_cast<int64_t>(hsv.total() * hsv.elemSize());
  for (int64_t i = 0; i < end; i += 3) {
    hsv.data[i] = static_cast<uint8_t>((hsv.data[i] + shift + kHues) % kHues);
  }
}

/// Whether the labeled pixels are of two classes or more, none with that share of them.
bool is_varied(const torch::Tensor& label, double max_class_share) {
  std::array<int64_t, 256> counts{};
  const auto values = label.accessor<uint8_t, 2>();
  for (int64_t y = 0; y < label.size(0); ++y) {
    for (int64_t x = 0; x < label.size(1); ++x) ++counts[values[y][x]];
  }
  int64_t classes = 0, labeled = 0, largest = 0;
  for (int64_t value = 0; value < kIgnored; ++value) {
    classes += counts[value] > 0 ? 1 : 0;
    labeled += counts[value];
    largest = std::max(largest, counts[value]);
  }
  // A window without labels has no class and fails before the division.
  return classes > 1 &&
         static_cast<double>(largest) / static_cast<double>(labeled) < max_class_share;
}

torch::Tensor part(const torch::Tensor& map, const Box& box) {
  return map.slice(-2, box.top, box.top + box.height).slice(-1, box.left, box.left + box.width);
}

Image cropped(const Image& image, const Box& box) {
  Image out(box.height, box.width);
  for (int64_t y = 0; y < box.height; ++y) {
    const auto* from = image.row(box.top + y) + 3 * box.left;
    std::copy(from, from + 3 * box.width, out.row(y));
  }
  return out;
}

Box draw_crop(ImageSize size, int64_t crop, Rng& rng) {
  Box box{.height = std::min(size.height, crop), .width = std::min(size.width, crop)};
  box.top = rng.integer(0, size.height - box.height);
  box.left = rng.integer(0, size.width - box.width);
  return box;
}

ImageSize training_size(ImageSize size, const SegmentationTransformOptions& options, Rng& rng) {
  const double factor = rng.uniform(options.scale[0], options.scale[1]);
  const auto scaled = [factor](int64_t side) {
    return std::max<int64_t>(static_cast<int64_t>(static_cast<double>(side) * factor), 1);
  };
  return size_within(size, scaled(options.resize_long), scaled(options.resize_short));
}

}  // namespace

PhotometricDraw draw_photometric(Rng& rng) {
  const auto coin = [&rng] { return rng.integer(0, 1) == 1; };
  PhotometricDraw draw;
  if (coin()) draw.brightness = rng.uniform(-kBrightness, kBrightness);
  // Drawn whether contrast changes or not.
  draw.contrast_first = coin();
  if (coin()) draw.contrast = rng.uniform(0.5, 1.5);
  if (coin()) draw.saturation = rng.uniform(0.5, 1.5);
  if (coin()) draw.hue = static_cast<int>(rng.integer(-kHueShift, kHueShift - 1));
  return draw;
}

void distort_(Image& image, const PhotometricDraw& draw) {
  cv::Mat pixels(static_cast<int>(image.height()), static_cast<int>(image.width()), CV_8UC3,
                 image.row(0));
  if (draw.brightness) convert_(pixels, 1.0, *draw.brightness);
  if (draw.contrast && draw.contrast_first) convert_(pixels, *draw.contrast, 0.0);
  if (draw.saturation) {
    change_hsv_(pixels, [&](cv::Mat& hsv) { convert_(hsv, *draw.saturation, 0.0, 1, 3); });
  }
  if (draw.hue) {
    change_hsv_(pixels, [&](cv::Mat& hsv) { shift_hue_(hsv, *draw.hue); });
  }
  if (draw.contrast && !draw.contrast_first) convert_(pixels, *draw.contrast, 0.0);
}

Box choose_crop(const torch::Tensor& label, ImageSize crop, double max_class_share,
                const std::function<Box()>& draw) {
  const auto next = [&] {
    auto box = draw();
    box.height = std::min(crop.height, label.size(0) - box.top);
    box.width = std::min(crop.width, label.size(1) - box.left);
    return box;
  };
  auto box = next();
  // The eleventh window is used as it is.
  for (int i = 0; i < kTries && !is_varied(part(label, box), max_class_share); ++i) box = next();
  return box;
}

torch::Tensor planes_of(const Image& image) {
  const auto rows = torch::from_blob(const_cast<uint8_t*>(image.row(0)),
                                     {image.height(), image.width(), 3}, torch::kByte);
  return rows.permute({2, 0, 1}).contiguous();
}

ImageSize segmentation_transform(const Image& image, const torch::Tensor& label,
                                 const SegmentationTransformOptions& options, Rng& rng,
                                 const SegmentationView& out) {
  const auto size = training_size({image.height(), image.width()}, options, rng);
  const auto resized = linear_resized(image, size);
  const auto labels = nearest_resized(label, size);
  const auto crop = options.crop_size;
  const auto box = choose_crop(labels, {crop, crop}, options.max_class_share,
                               [&] { return draw_crop(size, crop, rng); });
  const bool flips = rng.uniform() < options.flip_prob;
  auto pixels = cropped(resized, box);
  // Only on the crop: the reference distorts after cropping.
  if (options.photometric) distort_(pixels, draw_photometric(rng));
  auto planes = planes_of(pixels);
  auto cut = part(labels, box);
  if (flips) {
    planes = planes.flip(2);
    cut = cut.flip(1);
  }
  const Box filled{.height = box.height, .width = box.width};
  // A crop smaller than asked for is padded: labels with 255, pixels after normalization.
  out.image.zero_();
  out.label.fill_(kIgnored);
  part(out.image, filled).copy_(planes);
  part(out.label, filled).copy_(cut);
  return {box.height, box.width};
}

}  // namespace ibot::data
