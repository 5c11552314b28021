#include "ibot/batch/mixing.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>

namespace ibot::batch {
namespace {

constexpr int kEraseAttempts = 10;
constexpr double kSmallestErased = 0.02;
constexpr double kLargestErased = 1.0 / 3.0;
constexpr double kErasedAspect = 0.3;

/// Gamma(shape, 1), by Marsaglia and Tsang 2000; below 1 through Gamma(shape + 1).
double draw_gamma(double shape, Rng& rng) {
  if (shape < 1.0) {
    const double boosted = draw_gamma(shape + 1.0, rng);
    return boosted * std::pow(1.0 - rng.uniform(), 1.0 / shape);
  }
  const double d = shape - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  while (true) {
    const double x = rng.normal();
    const double v = std::pow(1.0 + c * x, 3);
    if (v <= 0.0) continue;
    if (std::log(1.0 - rng.uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

torch::Tensor part(const torch::Tensor& images, const PixelBox& box) {
  return images.slice(-2, box.top, box.bottom).slice(-1, box.left, box.right);
}

}  // namespace

std::optional<PixelBox> draw_erased_box(int64_t height, int64_t width, Rng& rng) {
  const auto image_area = static_cast<double>(height * width);
  const double log_aspect = std::log(kErasedAspect);
  for (int attempt = 0; attempt < kEraseAttempts; ++attempt) {
    const double area = image_area * rng.uniform(kSmallestErased, kLargestErased);
    const double aspect = std::exp(rng.uniform(log_aspect, -log_aspect));
    const auto rows = static_cast<int64_t>(std::nearbyint(std::sqrt(area * aspect)));
    const auto columns = static_cast<int64_t>(std::nearbyint(std::sqrt(area / aspect)));
    if (rows >= height || columns >= width) continue;
    const int64_t top = rng.integer(0, height - rows);
    const int64_t left = rng.integer(0, width - columns);
    return PixelBox{top, top + rows, left, left + columns};
  }
  return std::nullopt;
}

void random_erase_(torch::Tensor images, double prob, Rng& rng,
                   const std::optional<at::Generator>& generator) {
  const torch::NoGradGuard no_grad;
  for (int64_t i = 0; i < images.size(0); ++i) {
    if (rng.uniform() >= prob) continue;
    const auto box = draw_erased_box(images.size(2), images.size(3), rng);
    if (!box) continue;
    auto erased = part(images[i], *box);
    erased.copy_(torch::empty(erased.sizes(), erased.options()).normal_(0.0, 1.0, generator));
  }
}

PixelBox cutmix_box(int64_t height, int64_t width, double lambda, int64_t center_y,
                    int64_t center_x) {
  const double side = std::sqrt(1.0 - lambda);
  const auto rows = static_cast<int64_t>(static_cast<double>(height) * side);
  const auto columns = static_cast<int64_t>(static_cast<double>(width) * side);
  // As in timm 1.0; 0.4 lost the last row and column of an odd box.
  return {.top = std::clamp<int64_t>(center_y - rows / 2, 0, height),
          .bottom = std::clamp<int64_t>(center_y + (rows + 1) / 2, 0, height),
          .left = std::clamp<int64_t>(center_x - columns / 2, 0, width),
          .right = std::clamp<int64_t>(center_x + (columns + 1) / 2, 0, width)};
}

Mix mix_by_area(const PixelBox& box, int64_t height, int64_t width) {
  return {1.0 - static_cast<double>(box.area()) / static_cast<double>(height * width), box};
}

Mix draw_mix(const MixingOptions& options, int64_t height, int64_t width, Rng& rng) {
  if (!options.mixes() || rng.uniform() >= options.mix_prob) return {};
  const bool both = options.mixup > 0 && options.cutmix > 0;
  const bool cut = both ? rng.uniform() < options.switch_prob : options.cutmix > 0;
  const double lambda = draw_symmetric_beta(cut ? options.cutmix : options.mixup, rng);
  if (!cut) return {lambda, std::nullopt};
  const int64_t center_y = rng.integer(0, height - 1);
  const int64_t center_x = rng.integer(0, width - 1);
  return mix_by_area(cutmix_box(height, width, lambda, center_y, center_x), height, width);
}

MixedImages mix_images(const torch::Tensor& images, const torch::Tensor& labels, const Mix& mix,
                       int64_t classes, double smoothing) {
  const auto own = smooth_targets(labels, classes, smoothing);
  if (mix.lambda == 1.0) return {images, own};
  const auto target = own * mix.lambda + own.flip(0) * (1.0 - mix.lambda);
  const auto partner = images.flip(0);
  if (!mix.box) return {images * mix.lambda + partner * (1.0 - mix.lambda), target};
  auto mixed = images.clone();
  part(mixed, *mix.box).copy_(part(partner, *mix.box));
  return {mixed, target};
}

torch::Tensor smooth_targets(const torch::Tensor& labels, int64_t classes, double smoothing) {
  const double off = smoothing / static_cast<double>(classes);
  const auto targets =
      torch::full({labels.size(0), classes}, off, labels.options().dtype(torch::kFloat));
  return targets.scatter(1, labels.unsqueeze(1), 1.0 - smoothing + off);
}

double draw_symmetric_beta(double alpha, Rng& rng) {
  const double a = draw_gamma(alpha, rng);
  const double b = draw_gamma(alpha, rng);
  // Of a tiny alpha both may underflow; the limit of the distribution is a fair coin.
  return a + b > 0.0 ? a / (a + b) : rng.uniform() < 0.5 ? 0.0 : 1.0;
}

}  // namespace ibot::batch
