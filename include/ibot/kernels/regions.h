// Features of regions, and which of overlapping boxes remain.
#pragma once

#include <torch/types.h>

#include <array>
#include <cstdint>

namespace ibot::kernels {

/// How a region is cut into bins.
///
///   output  height and width in bins
///   scale   feature cells a pixel: 1 / stride
///   samples a side and bin; 0: as many as a bin has cells, rounded up
struct RegionOptions {
  std::array<int64_t, 2> output{7, 7};
  double scale = 1;
  int64_t samples = 0;
};

/// Averages of bilinear samples within each bin of each region, as boxes::roi_align describes.
///
///   features  [B, C, H, W]  float32
///   regions   [R, 5]        image, x1, y1, x2, y2 in pixels, float32
///   returns   [R, C, output height, output width]
///
/// Throws Error for a region of an image that there is not, on a GPU its features are 0.
torch::Tensor align_regions(const torch::Tensor& features, const torch::Tensor& regions,
                            const RegionOptions& options);

/// The gradient of features of `sizes`. On a GPU sums of a cell have an order that varies.
torch::Tensor align_regions_backward(const torch::Tensor& gradient, const torch::Tensor& regions,
                                     at::IntArrayRef sizes, const RegionOptions& options);

/// Which boxes remain when each, from the first down, removes those after it that overlap it by
/// more than `threshold`.
///
///   boxes    [N, 4]  float32, by descending score
///   returns  [N]     bool
torch::Tensor remaining_boxes(const torch::Tensor& boxes, double threshold);

}  // namespace ibot::kernels
