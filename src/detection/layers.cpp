#include "detection/layers.h"

#include <cmath>

#include "ibot/detection/truth.h"

namespace ibot::detection {
namespace {

/// Values that one output of the layer reads, or that one input reaches: [out, in, ...].
double fan_of(const torch::Tensor& weight, int64_t dimension) {
  return static_cast<double>(weight.numel() / weight.size(1 - dimension));
}

void clear_(torch::Tensor& bias) {
  if (bias.defined()) bias.zero_();
}

}  // namespace

void init_normal_(torch::Tensor& weight, torch::Tensor& bias, double deviation,
                  at::Generator generator) {
  const torch::NoGradGuard no_grad;
  weight.normal_(0, deviation, generator);
  clear_(bias);
}

// torch's fan-out, size(0) times the kernel: of a transposed convolution [in, out, …] that is its
// inputs.
void init_kaiming_(torch::Tensor& weight, torch::Tensor& bias, at::Generator generator) {
  init_normal_(weight, bias, std::sqrt(2 / fan_of(weight, 0)), generator);
}

void init_xavier_(torch::Tensor& weight, torch::Tensor& bias, at::Generator generator) {
  const torch::NoGradGuard no_grad;
  const double bound = std::sqrt(6 / (fan_of(weight, 0) + fan_of(weight, 1)));
  weight.uniform_(-bound, bound, generator);
  clear_(bias);
}

torch::Tensor divisor(double count, const dist::Group& group, bool synced, torch::Device device) {
  const auto own = torch::full({}, count, torch::TensorOptions(torch::kFloat).device(device));
  if (!synced || group.size() == 1) return own;
  // Data-parallel training averages gradients over ranks: the mean count gives the loss of one
  // batch.
  return dist::all_reduce_sum(own, group) / static_cast<double>(group.size());
}

}  // namespace ibot::detection
