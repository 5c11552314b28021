// What the rows of the table are made of.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/randn.h>

#include "ibot/kernels/table.h"

namespace ibot::kernels {

inline const std::vector<torch::ScalarType>& half_types() {
  static const std::vector<torch::ScalarType> types{torch::kBFloat16, torch::kHalf};
  return types;
}

/// Random inputs of a trial: drawn on the CPU, so that every device has the same.
class Draw {
 public:
  explicit Draw(const Trial& trial)
      : trial_(trial), generator_(at::detail::createCPUGenerator(1)) {}

  torch::Tensor floats(at::IntArrayRef sizes) {
    return at::randn(sizes, generator_).to(trial_.device);
  }
  /// In the trial's type.
  torch::Tensor halves(at::IntArrayRef sizes) { return floats(sizes).to(trial_.type); }
  torch::Tensor room(at::IntArrayRef sizes, torch::ScalarType type) const {
    return torch::empty(sizes, torch::TensorOptions(trial_.device).dtype(type));
  }

 private:
  Trial trial_;
  at::Generator generator_;
};

TableRow normalize_row();
TableRow normalize_backward_row();
TableRow add_scaled_row();
TableRow add_scaled_backward_row();
TableRow softmax_row();
TableRow softmax_backward_row();
TableRow cross_entropy_row();
TableRow cross_entropy_backward_row();
TableRow align_regions_row();
TableRow align_regions_backward_row();
TableRow remaining_boxes_row();

}  // namespace ibot::kernels
