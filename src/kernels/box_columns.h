// Boxes as loops over many of them read them.
#pragma once

#include <torch/types.h>

#include "kernels/region_arithmetic.h"

namespace ibot::kernels {

/// Corners and areas in arrays of their own. A loop over them takes a copy of this: pointers that
/// nothing else can reach stay in registers, which vectors need.
struct BoxArrays {
  const float* x1;
  const float* y1;
  const float* x2;
  const float* y2;
  const float* area;

  float overlap(int64_t a, int64_t b) const {
    return overlap_of({x1[a], y1[a], x2[a], y2[a]}, area[a], {x1[b], y1[b], x2[b], y2[b]}, area[b]);
  }
};

/// The memory of such arrays.
class BoxColumns {
 public:
  ///   boxes  [N, 4]
  explicit BoxColumns(const torch::Tensor& boxes) {
    const auto corners = boxes.to(torch::kCPU, torch::kFloat).t();  // [4, N]
    const auto areas = (corners[2] - corners[0]) * (corners[3] - corners[1]);
    columns_ = torch::cat({corners, areas.unsqueeze(0)}).contiguous();
  }

  int64_t count() const { return columns_.size(1); }
  BoxArrays arrays() const {
    const auto* first = columns_.const_data_ptr<float>();
    const auto n = count();
    return {first, first + n, first + 2 * n, first + 3 * n, first + 4 * n};
  }

 private:
  torch::Tensor columns_;  // [5, N]
};

}  // namespace ibot::kernels
