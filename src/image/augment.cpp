#include "ibot/image/augment.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "ibot/image/pixel_ops.h"

namespace ibot::data {
namespace {

// torchvision's constants of RandomResizedCrop, and the reference's range of blur radii.
constexpr int kAttempts = 10;
constexpr double kMinAspect = 3.0 / 4.0;
constexpr double kMaxAspect = 4.0 / 3.0;
constexpr double kMinBlur = 0.1;
constexpr double kMaxBlur = 2.0;

/// Rounds half to even, as Python does.
int64_t rounded(double value) { return static_cast<int64_t>(std::nearbyint(value)); }

/// torchvision's fallback: the largest central box of an allowed aspect.
Box central_box(int64_t height, int64_t width) {
  const double aspect = static_cast<double>(width) / static_cast<double>(height);
  Box box{0, 0, height, width};
  if (aspect < kMinAspect) box.height = rounded(static_cast<double>(width) / kMinAspect);
  if (aspect > kMaxAspect) box.width = rounded(static_cast<double>(height) * kMaxAspect);
  box.top = (height - box.height) / 2;
  box.left = (width - box.width) / 2;
  return box;
}

/// A factor from [max(0, 1 - strength), 1 + strength].
double factor(double strength, Rng& rng) {
  return rng.uniform(std::max(0.0, 1.0 - strength), 1.0 + strength);
}

double blur_prob(View view, const AugmentOptions& options) {
  switch (view) {
    case View::kFirstGlobal:
      return options.blur_prob_first;
    case View::kOtherGlobal:
      return options.blur_prob_second;
    case View::kLocal:
      return options.blur_prob_local;
  }
  return 0.0;
}

}  // namespace

Box sample_box(int64_t height, int64_t width, const std::array<double, 2>& scale, Rng& rng) {
  const double image_area = static_cast<double>(height) * static_cast<double>(width);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const double area = image_area * rng.uniform(scale[0], scale[1]);
    // Uniform in the logarithm: 3:4 and 4:3 are equally likely.
    const double aspect = std::exp(rng.uniform(std::log(kMinAspect), std::log(kMaxAspect)));
    Box box;
    box.width = rounded(std::sqrt(area * aspect));
    box.height = rounded(std::sqrt(area / aspect));
    // Boxes that leave the image are drawn anew, not clipped.
    if (box.width <= 0 || box.width > width || box.height <= 0 || box.height > height) continue;
    box.top = rng.integer(0, height - box.height);
    box.left = rng.integer(0, width - box.width);
    return box;
  }
  return central_box(height, width);
}

void color_jitter_(CropView crop, const JitterStrength& strength, Rng& rng) {
  const double brightness = factor(strength.brightness, rng);
  const double contrast = factor(strength.contrast, rng);
  const double saturation = factor(strength.saturation, rng);
  const double hue = rng.uniform(-strength.hue, strength.hue);
  // All factors are drawn before the order, whatever the strengths: the stream of random numbers
  // does not depend on the options.
  std::array<int, 4> order{0, 1, 2, 3};
  for (int i = 0; i < 3; ++i) std::swap(order[i], order[rng.integer(i, 3)]);
  for (const int operation : order) {
    switch (operation) {
      case 0:
        adjust_brightness_(crop, brightness);
        break;
      case 1:
        adjust_contrast_(crop, contrast);
        break;
      case 2:
        adjust_saturation_(crop, saturation);
        break;
      default:
        // A shift of zero would still round colors on their way through 8-bit HSV.
        if (strength.hue > 0) adjust_hue_(crop, hue);
    }
  }
}

CropPlace augmented_crop(const ColumnPlanes& image, View view, const AugmentOptions& options,
                         Rng& rng, CropView out) {
  const auto& scale = view == View::kLocal ? options.local_scale : options.global_scale;
  ResizePlan plan;
  plan.height = out.height;
  plan.width = out.width;
  plan.box = sample_box(image.height(), image.width(), scale, rng);
  plan.flip = rng.uniform() < options.flip_prob;
  // Cut out, resized and flipped in one pass; the rest works on the 8-bit crop.
  resized_crop(image, plan, out);
  if (rng.uniform() < options.jitter_prob) {
    color_jitter_(out, {options.brightness, options.contrast, options.saturation, options.hue},
                  rng);
  }
  // The order of the reference: jitter, grayscale, blur, solarization.
  if (rng.uniform() < options.grayscale_prob) to_grayscale_(out);
  if (rng.uniform() < blur_prob(view, options)) {
    gaussian_blur_(out, rng.uniform(kMinBlur, kMaxBlur));
  }
  // Only the second and further global crops are solarized.
  if (view == View::kOtherGlobal && rng.uniform() < options.solarize_prob) solarize_(out);
  return {plan.box, plan.flip};
}

}  // namespace ibot::data
