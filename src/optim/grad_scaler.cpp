#include "ibot/optim/grad_scaler.h"

#include <ATen/ops/_amp_foreach_non_finite_check_and_unscale.h>
#include <ATen/ops/_amp_update_scale.h>

namespace ibot::optim {
namespace {

// Those of torch.amp.GradScaler.
constexpr double kInitialScale = 65536.0;
constexpr double kGrowth = 2.0;
constexpr double kBackoff = 0.5;
constexpr int64_t kGrowthInterval = 2000;

}  // namespace

GradScaler::GradScaler(torch::Device device)
    : scale_(torch::full({}, kInitialScale, torch::TensorOptions(torch::kFloat).device(device))),
      good_steps_(torch::zeros({}, torch::TensorOptions(torch::kInt).device(device))) {}

torch::Tensor GradScaler::unscale_(const std::vector<torch::Tensor>& gradients) {
  const torch::NoGradGuard no_grad;
  auto found = torch::zeros({}, scale_.options());
  at::_amp_foreach_non_finite_check_and_unscale_(gradients, found, scale_.reciprocal());
  return found;
}

torch::Tensor GradScaler::beyond_remedy(const torch::Tensor& found_overflow) const {
  return found_overflow.gt(0).logical_and(scale_.lt(1.0)).to(torch::kFloat);
}

void GradScaler::update(const torch::Tensor& found_overflow) {
  const torch::NoGradGuard no_grad;
  at::_amp_update_scale_(scale_, good_steps_, found_overflow, kGrowth, kBackoff, kGrowthInterval);
}

}  // namespace ibot::optim
