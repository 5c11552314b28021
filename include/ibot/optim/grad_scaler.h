// Loss scaling for half-precision gradients.
#pragma once

#include <torch/types.h>

#include <vector>

namespace ibot::optim {

/// Multiplies the loss by a factor that doubles after 2000 good steps and halves at each overflow.
/// Everything stays on the device.
///
/// Source: Micikevicius et al. 2018; constants of torch.amp.GradScaler.
class GradScaler {
 public:
  explicit GradScaler(torch::Device device);

  /// loss · scale
  torch::Tensor scaled(const torch::Tensor& loss) const { return loss * scale_; }
  /// Divides the gradients by the scale; returns a float32 scalar above 0 when one is not finite.
  torch::Tensor unscale_(const std::vector<torch::Tensor>& gradients);
  /// Of what unscale_ returned: 1 where no lower scale can be the remedy, since the scale is below
  /// 1 already, else 0.
  torch::Tensor beyond_remedy(const torch::Tensor& found_overflow) const;
  /// Moves the scale by what unscale_ returned.
  void update(const torch::Tensor& found_overflow);

  /// float32 scalar and int32 scalar; what a checkpoint holds.
  torch::Tensor scale() const { return scale_; }
  torch::Tensor good_steps() const { return good_steps_; }

 private:
  torch::Tensor scale_;
  torch::Tensor good_steps_;
};

}  // namespace ibot::optim
