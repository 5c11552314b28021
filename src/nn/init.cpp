#include "ibot/nn/init.h"

#include <ATen/core/grad_mode.h>

#include <cmath>

namespace ibot::nn {

void truncated_normal_(torch::Tensor tensor, double std, at::Generator generator) {
  const torch::NoGradGuard no_grad;
  // The reference cuts at ±2 absolute, 100 standard deviations of 0.02: in effect nowhere.
  tensor.normal_(0.0, std, std::move(generator)).clamp_(-2.0, 2.0);
}

void fan_in_uniform_(torch::Tensor tensor, int64_t fan_in, at::Generator generator) {
  const torch::NoGradGuard no_grad;
  // Kaiming-uniform with a = √5, torch's default for linear layers and convolutions.
  const double bound = 1.0 / std::sqrt(static_cast<double>(fan_in));
  tensor.uniform_(-bound, bound, std::move(generator));
}

}  // namespace ibot::nn
