#include "ibot/nn/batch_norm.h"

namespace ibot::nn {
namespace {

void move_statistics_(torch::nn::BatchNorm1dImpl& layer, const torch::Tensor& mean,
                      const torch::Tensor& variance, double count) {
  const torch::NoGradGuard no_grad;
  const double momentum = layer.options.momentum().value();
  layer.num_batches_tracked += 1;
  layer.running_mean.lerp_(mean, momentum);
  layer.running_var.lerp_(variance * (count / (count - 1.0)), momentum);
}

}  // namespace

torch::Tensor batch_norm(torch::nn::BatchNorm1dImpl& layer, const torch::Tensor& rows,
                         const dist::Group& group) {
  if (group.size() == 1 || !layer.is_training()) return layer.forward(rows);
  const auto count = static_cast<double>(rows.size(0) * group.size());
  const auto x = rows.to(torch::kFloat);
  const auto mean = dist::all_reduce_sum(x.sum(0), group) / count;
  const auto centred = x - mean;
  // Of centred values: the difference of mean squares would cancel.
  const auto variance = dist::all_reduce_sum(centred.square().sum(0), group) / count;
  move_statistics_(layer, mean, variance, count);
  const auto normed = centred * (variance + layer.options.eps()).rsqrt();
  return (normed * layer.weight + layer.bias).to(rows.dtype());
}

}  // namespace ibot::nn
