#include "ibot/eval/patterns.h"

#include <algorithm>
#include <limits>

namespace ibot::eval {
namespace {

// Red, green, blue and opacity of the mark.
constexpr int kMark[4]{200, 100, 0, 127};

/// `share` / 255 of the way from `below` to `above`, as Pillow rounds it.
uint8_t blended(int below, int above, int share) {
  // Division by 255 with rounding, without a division.
  const int sum = below * (255 - share) + above * share + 128;
  return static_cast<uint8_t>(((sum >> 8) + sum) >> 8);
}

}  // namespace

PatternBank pattern_bank(const torch::Tensor& logits) {
  const auto [value, cluster] = logits.max(-1);
  return {value, cluster};
}

torch::Tensor cluster_sizes(const PatternBank& bank, int64_t clusters) {
  return bank.cluster.flatten().bincount(/*weights=*/{}, clusters);
}

std::vector<int64_t> largest_clusters(const torch::Tensor& sizes, int64_t count) {
  const auto order = sizes.argsort(/*stable=*/true, /*dim=*/0, /*descending=*/true);
  std::vector<int64_t> clusters;
  for (int64_t i = 0; i < std::min(count, sizes.size(0)); ++i) {
    const auto cluster = order[i].item<int64_t>();
    // An empty cluster has nothing to show.
    if (sizes[cluster].item<int64_t>() > 0) clusters.push_back(cluster);
  }
  return clusters;
}

std::vector<PatternPatch> best_patches(const PatternBank& bank, int64_t cluster, int64_t count) {
  const auto others = bank.cluster != cluster;
  const auto lowest = -std::numeric_limits<float>::infinity();
  const auto [value, patch] = bank.value.masked_fill(others, lowest).max(1);  // [S]
  const auto order = value.argsort(/*stable=*/true, /*dim=*/0, /*descending=*/true);
  std::vector<PatternPatch> best;
  for (int64_t i = 0; i < std::min(count, order.size(0)); ++i) {
    const auto image = order[i].item<int64_t>();
    const auto logit = value[image].item<float>();
    // Images without a patch of the cluster are left out; in the reference they score 0 and come
    // before negative logits.
    if (logit == lowest) break;
    best.push_back({image, patch[image].item<int64_t>(), logit});
  }
  return best;
}

torch::Tensor pattern_tile(const torch::Tensor& picture, int64_t row, int64_t column, int64_t patch,
                           int64_t window) {
  const auto side = window * patch;
  const auto top = (row - window / 2) * patch;
  const auto left = (column - window / 2) * patch;
  const auto from_row = std::max<int64_t>(top, 0);
  const auto from_column = std::max<int64_t>(left, 0);
  const auto rows = std::min(top + side, picture.size(0)) - from_row;
  const auto columns = std::min(left + side, picture.size(1)) - from_column;
  // Black where the window leaves the picture.
  auto tile = torch::zeros({side, side, 3}, torch::kByte);
  tile.narrow(0, from_row - top, rows)
      .narrow(1, from_column - left, columns)
      .copy_(picture.narrow(0, from_row, rows).narrow(1, from_column, columns));
  return tile;
}

double mean_value(const torch::Tensor& tile) {
  // The value of HSV is the largest channel.
  return tile.amax(-1).to(torch::kDouble).mean().item<double>();
}

void mark_center_(const torch::Tensor& tile, int64_t patch, int64_t window) {
  const auto first = window / 2 * patch;
  // One pixel more than the patch: Pillow draws both ends of a rectangle.
  const auto end = std::min(first + patch + 1, tile.size(0));
  auto pixels = tile.accessor<uint8_t, 3>();
  for (int64_t y = first; y < end; ++y) {
    for (int64_t x = first; x < end; ++x) {
      for (int channel = 0; channel < 3; ++channel) {
        pixels[y][x][channel] = blended(pixels[y][x][channel], kMark[channel], kMark[3]);
      }
    }
  }
}

}  // namespace ibot::eval
