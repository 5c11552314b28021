// Which patches, or images, a prototype stands for.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace ibot::eval {

/// The prototype of each patch and its logit.
///
///   value, cluster  [S, N]   float32, int64
struct PatternBank {
  torch::Tensor value;
  torch::Tensor cluster;
};

/// Of logits [S, N, K]; of whole images N = 1.
PatternBank pattern_bank(const torch::Tensor& logits);

/// Patches of each cluster: [K] int64.
torch::Tensor cluster_sizes(const PatternBank& bank, int64_t clusters);

/// The `count` clusters with the most patches, of equal ones the lower number first; none that is
/// empty.
std::vector<int64_t> largest_clusters(const torch::Tensor& sizes, int64_t count);

/// A patch of an image and its logit.
struct PatternPatch {
  int64_t image = 0;
  int64_t patch = 0;
  float value = 0;
};

/// Of each image that has patches of the cluster the best one, the best first, at most `count`.
std::vector<PatternPatch> best_patches(const PatternBank& bank, int64_t cluster, int64_t count);

/// A patch of a picture with its surroundings: window x window patches, black outside the picture.
///
///   picture  [H, W, 3]   uint8
///   returns  [window·patch, window·patch, 3]
torch::Tensor pattern_tile(const torch::Tensor& picture, int64_t row, int64_t column, int64_t patch,
                           int64_t window);

/// A tile whose mean_value is not above it is too dark to show anything.
inline constexpr double kDarkestTile = 40.0;

/// Mean over the pixels of their largest channel.
double mean_value(const torch::Tensor& tile);

/// Lays half-transparent orange over the patch in the middle, and over one more row and column of
/// pixels, as Pillow's rectangles include both ends.
void mark_center_(const torch::Tensor& tile, int64_t patch, int64_t window);

}  // namespace ibot::eval
