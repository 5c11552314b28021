// How well masks of objects agree with the truth.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace ibot::eval {

/// Intersection over union of two masks, 1 where both are empty.
///
///   truth, result  [H, W]   bool, on the host
double region_similarity(const torch::Tensor& truth, const torch::Tensor& result);

/// Pixels that differ from the right, lower or lower right neighbor.
///
///   mask     [H, W]   bool, on the host
///   returns  [H, W]   bool
torch::Tensor boundary(const torch::Tensor& mask);

/// Pixels within which boundaries agree: 0.8 % of the diagonal, rounded up.
int64_t boundary_radius(int64_t height, int64_t width);

/// How far a disk reaches to either side in each of its rows, dx^2 + dy^2 <= radius^2: of 2 radius
/// + 1 rows.
std::vector<int64_t> disk_reaches(int64_t radius);

/// F measure of the boundaries, matched within boundary_radius.
///
///   truth, result  [H, W]   bool, on the host
double boundary_accuracy(const torch::Tensor& truth, const torch::Tensor& result);

/// Of one measure over the frames of an object.
///
///   recall  share of frames above 0.5
///   decay   mean of the first quarter less that of the last; NaN where the last is empty, as
///           beyond 255 frames
struct FrameStatistics {
  double mean = 0.0;
  double recall = 0.0;
  double decay = 0.0;
};

/// Throws Error without values. Source: davis2017-evaluation.
FrameStatistics frame_statistics(const std::vector<double>& values);

}  // namespace ibot::eval
