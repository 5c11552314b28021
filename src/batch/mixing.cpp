#include "ibot/batch/mixing.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>

#include "ibot/base/error.h"

namespace ibot::batch {
namespace {

// timm's RandomErasing, whose defaults the reference keeps.
constexpr int kEraseAttempts = 10;
constexpr double kSmallestErased = 0.02;
constexpr double kLargestErased = 1.0 / 3.0;
constexpr double kErasedAspect = 0.3;

/// Gamma(shape, 1), by Marsaglia and Tsang 2000; below 1 through Gamma(shape + 1).
double draw_gamma(double shape, Rng& rng) {
  if (shape < 1.0) {
    const double boosted = draw_gamma(shape + 1.0, rng);
    // 1 - u is never 0, and u may be.
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

/// Values for the pixels of a box of an image, [C, h, w] or broadcast to it.
torch::Tensor fill_of(const torch::Tensor& box, EraseMode mode,
                      const std::optional<at::Generator>& generator) {
  const auto color = std::vector<int64_t>{box.size(0), 1, 1};
  if (mode == EraseMode::kConst) return torch::zeros(color, box.options());
  const auto sizes = mode == EraseMode::kPixel ? box.sizes() : at::IntArrayRef(color);
  return torch::empty(sizes, box.options()).normal_(0.0, 1.0, generator);
}

/// One length, at least 0, drawn from [least, most) of `whole`.
int64_t draw_side(int64_t whole, double least, double most, Rng& rng) {
  const auto side = [whole](double share) {
    return static_cast<int64_t>(static_cast<double>(whole) * share);
  };
  return rng.integer(side(least), std::max(side(most) - 1, side(least)));
}

MixedImages mix_alike(const torch::Tensor& images, const torch::Tensor& own, const Mix& mix) {
  if (mix.lambda == 1.0) return {images, own};
  const auto target = own * mix.lambda + own.flip(0) * (1.0 - mix.lambda);
  // Image i is mixed with image B - 1 - i, as in timm.
  const auto partner = images.flip(0);
  if (!mix.box) return {images * mix.lambda + partner * (1.0 - mix.lambda), target};
  auto mixed = images.clone();
  part(mixed, *mix.box).copy_(part(partner, *mix.box));
  return {mixed, target};
}

MixedImages mix_each(const torch::Tensor& images, const torch::Tensor& own,
                     const std::vector<Mix>& mixes) {
  std::vector<float> shares, weights;  // of the target; of the image, 1 where a box is pasted
  for (const auto& mix : mixes) {
    shares.push_back(static_cast<float>(mix.lambda));
    weights.push_back(mix.box ? 1.0f : shares.back());
  }
  const auto share = torch::tensor(shares, own.options()).unsqueeze(1);  // [B, 1]
  const auto weight = torch::tensor(weights, images.options()).view({-1, 1, 1, 1});
  const auto partner = images.flip(0);
  const auto mixed = images * weight + partner * (1.0 - weight);
  for (size_t i = 0; i < mixes.size(); ++i) {
    const auto& box = mixes[i].box;
    const auto row = static_cast<int64_t>(i);
    if (box) part(mixed[row], *box).copy_(part(partner[row], *box));
  }
  return {mixed, own * share + own.flip(0) * (1.0 - share)};
}

}  // namespace

std::optional<PixelBox> draw_erased_box(int64_t height, int64_t width, Rng& rng, int64_t boxes) {
  const auto image_area = static_cast<double>(height * width) / static_cast<double>(boxes);
  const double log_aspect = std::log(kErasedAspect);
  for (int attempt = 0; attempt < kEraseAttempts; ++attempt) {
    const double area = image_area * rng.uniform(kSmallestErased, kLargestErased);
    const double aspect = std::exp(rng.uniform(log_aspect, -log_aspect));
    // Python's round: half to even.
    const auto rows = static_cast<int64_t>(std::nearbyint(std::sqrt(area * aspect)));
    const auto columns = static_cast<int64_t>(std::nearbyint(std::sqrt(area / aspect)));
    // Strict: a box never spans a side.
    if (rows >= height || columns >= width) continue;
    const int64_t top = rng.integer(0, height - rows);
    const int64_t left = rng.integer(0, width - columns);
    return PixelBox{top, top + rows, left, left + columns};
  }
  return std::nullopt;
}

void random_erase_(torch::Tensor images, const MixingOptions& options, Rng& rng,
                   const std::optional<at::Generator>& generator) {
  const torch::NoGradGuard no_grad;
  for (int64_t i = 0; i < images.size(0); ++i) {
    if (rng.uniform() >= options.erase_prob) continue;
    // A single box costs no draw, so that its place does not depend on erase_count being a key.
    const int64_t boxes = options.erase_count == 1 ? 1 : rng.integer(1, options.erase_count);
    for (int64_t b = 0; b < boxes; ++b) {
      const auto box = draw_erased_box(images.size(2), images.size(3), rng, boxes);
      if (!box) continue;
      auto erased = part(images[i], *box);
      erased.copy_(fill_of(erased, options.erase_mode, generator));
    }
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
  // λ follows from the area that the border has left of the box.
  return {1.0 - static_cast<double>(box.area()) / static_cast<double>(height * width), box};
}

PixelBox draw_cutmix_box(int64_t height, int64_t width, double least, double most, Rng& rng) {
  const auto rows = draw_side(height, least, most, rng);
  const auto columns = draw_side(width, least, most, rng);
  // As in timm, the last row and column stay as they are.
  const auto top = rng.integer(0, std::max<int64_t>(height - rows - 1, 0));
  const auto left = rng.integer(0, std::max<int64_t>(width - columns - 1, 0));
  return {top, top + rows, left, left + columns};
}

Mix draw_mix(const MixingOptions& options, int64_t height, int64_t width, Rng& rng) {
  if (!options.mixes() || rng.uniform() >= options.mix_prob) return {};
  // The coin is tossed only where there is a choice.
  const bool both = options.mixup > 0 && options.cuts();
  const bool cut = both ? rng.uniform() < options.switch_prob : options.cuts();
  const auto& sides = options.cutmix_minmax;
  if (cut && !sides.empty()) {
    return mix_by_area(draw_cutmix_box(height, width, sides[0], sides[1], rng), height, width);
  }
  const double lambda = draw_symmetric_beta(cut ? options.cutmix : options.mixup, rng);
  if (!cut) return {lambda, std::nullopt};
  const int64_t center_y = rng.integer(0, height - 1);
  const int64_t center_x = rng.integer(0, width - 1);
  return mix_by_area(cutmix_box(height, width, lambda, center_y, center_x), height, width);
}

std::vector<Mix> draw_mixes(const MixingOptions& options, at::IntArrayRef sizes, Rng& rng) {
  const auto batch = static_cast<size_t>(sizes[0]);
  const auto draw = [&] { return draw_mix(options, sizes[2], sizes[3], rng); };
  if (options.mix_mode == MixMode::kBatch) return {draw()};
  std::vector<Mix> mixes(batch);
  const bool pairs = options.mix_mode == MixMode::kPair;
  for (size_t i = 0; i < (pairs ? batch / 2 : batch); ++i) {
    mixes[i] = draw();
    if (pairs) mixes[batch - 1 - i] = mixes[i];
  }
  return mixes;
}

MixedImages mix_images(const torch::Tensor& images, const torch::Tensor& labels,
                       const std::vector<Mix>& mixes, int64_t classes, double smoothing) {
  const auto own = smooth_targets(labels, classes, smoothing);
  if (mixes.size() == 1) return mix_alike(images, own, mixes.front());
  IBOT_CHECK(static_cast<int64_t>(mixes.size()) == images.size(0), "mixing: expected 1 or ",
             images.size(0), " mixes, one an image, got ", mixes.size());
  return mix_each(images, own, mixes);
}

torch::Tensor smooth_targets(const torch::Tensor& labels, int64_t classes, double smoothing) {
  // smoothing / C everywhere, and 1 - smoothing more at the label.
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
