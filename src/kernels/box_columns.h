// Boxes as loops over many of them read them.
#pragma once

#include <torch/types.h>

#include "kernels/region_arithmetic.h"

namespace ibot::kernels {

/// Corners and areas in arrays of their own, which loops can load at once.
class BoxColumns {
 public:
  explicit BoxColumns(const torch::Tensor& boxes) {
    const auto corners = boxes.to(torch::kCPU, torch::kFloat).t();  // [4, N]
    const auto areas = (corners[2] - corners[0]) * (corners[3] - corners[1]);
    columns_ = torch::cat({corners, areas.unsqueeze(0)}).contiguous();
    count_ = columns_.size(1);
    x1_ = columns_.const_data_ptr<float>();
    y1_ = x1_ + count_;
    x2_ = y1_ + count_;
    y2_ = x2_ + count_;
    area_ = y2_ + count_;
  }

  int64_t count() const { return count_; }
  float overlap(int64_t a, int64_t b) const {
    return overlap_of({x1_[a], y1_[a], x2_[a], y2_[a]}, area_[a], {x1_[b], y1_[b], x2_[b], y2_[b]},
                      area_[b]);
  }

 private:
  torch::Tensor columns_;  // [5, N]
  int64_t count_;
  const float *x1_, *y1_, *x2_, *y2_, *area_;
};

}  // namespace ibot::kernels
