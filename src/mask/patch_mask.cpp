#include "ibot/mask/patch_mask.h"

#include <cmath>
#include <numeric>
#include <vector>

namespace ibot::mask {
namespace {

// Both as in the reference and BEiT: tries per rectangle, and aspect ratio in [0.3, 1 / 0.3].
constexpr int kAttempts = 10;
constexpr double kMinAspect = 0.3;

/// Tries once to add a rectangle of at most `room` new patches; returns how many it added.
int64_t add_block(bool* marked, PatchGrid grid, double room, Rng& rng) {
  const int64_t third = std::min(grid.rows, grid.columns) / 3;
  // The reference's bounds: near the end `room` is the smaller of the two, which uniform() allows.
  const double area = rng.uniform(static_cast<double>(third * third), room);
  // Log-uniform, so that upright and lying rectangles are equally likely.
  const double aspect = std::exp(rng.uniform(std::log(kMinAspect), -std::log(kMinAspect)));
  // nearbyint rounds half to even, as the reference does.
  const auto height = static_cast<int64_t>(std::nearbyint(std::sqrt(area * aspect)));
  const auto width = static_cast<int64_t>(std::nearbyint(std::sqrt(area / aspect)));
  // Strict, as in the reference: a rectangle never spans the whole grid.
  if (height >= grid.rows || width >= grid.columns) return 0;
  const int64_t top = rng.integer(0, grid.rows - height);
  const int64_t left = rng.integer(0, grid.columns - width);
  int64_t added = 0;
  for (int64_t row = top; row < top + height; ++row) {
    for (int64_t column = left; column < left + width; ++column) {
      added += !marked[row * grid.columns + column];
    }
  }
  if (added == 0 || static_cast<double>(added) > room) return 0;
  for (int64_t row = top; row < top + height; ++row) {
    std::fill_n(marked + row * grid.columns + left, width, true);
  }
  return added;
}

void mark_blocks(bool* marked, PatchGrid grid, double target, Rng& rng) {
  int64_t count = 0;
  while (static_cast<double>(count) < target) {
    int64_t added = 0;
    for (int attempt = 0; attempt < kAttempts && added == 0; ++attempt) {
      added = add_block(marked, grid, target - static_cast<double>(count), rng);
    }
    // Ten failures end the mask below its target, as in the reference.
    if (added == 0) return;
    count += added;
  }
}

void mark_random(bool* marked, PatchGrid grid, double target, Rng& rng) {
  std::vector<int64_t> order(grid.size());
  std::iota(order.begin(), order.end(), 0);
  const auto count = static_cast<int64_t>(target);
  // The first `count` steps of a Fisher-Yates shuffle.
  for (int64_t i = 0; i < count; ++i) {
    std::swap(order[i], order[rng.integer(i, grid.size() - 1)]);
    marked[order[i]] = true;
  }
}

}  // namespace

double sample_ratio(const MaskOptions& options, int64_t epoch, Rng& rng) {
  if (epoch < options.start_epoch) return 0.0;
  const size_t chosen = rng.index(options.ratio.size());
  const double var = options.ratio_var[options.ratio_var.size() == 1 ? 0 : chosen];
  return rng.uniform(options.ratio[chosen] - var, options.ratio[chosen] + var);
}

torch::Tensor sample_mask(MaskShape shape, double ratio, PatchGrid grid, Rng& rng) {
  const auto mask = torch::zeros({grid.size()}, torch::kBool);
  const double target = ratio * static_cast<double>(grid.size());
  const auto mark = shape == MaskShape::kBlock ? mark_blocks : mark_random;
  mark(mask.data_ptr<bool>(), grid, target, rng);
  return mask;
}

torch::Tensor sample_crop_mask(const MaskOptions& options, int64_t epoch, int64_t crop,
                               PatchGrid grid, Rng& rng) {
  const bool masked = options.views != MaskViews::kFirstGlobal || crop == 0;
  return sample_mask(options.shape, masked ? sample_ratio(options, epoch, rng) : 0.0, grid, rng);
}

}  // namespace ibot::mask
