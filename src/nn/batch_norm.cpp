#include "ibot/nn/batch_norm.h"

#include <ATen/Context.h>

namespace ibot::nn {
namespace {

/// Copies of the running statistics, which a batch moves.
struct Statistics {
  torch::Tensor mean;
  torch::Tensor variance;
};

torch::Tensor normalise_here(const torch::nn::BatchNorm1dImpl& layer, const torch::Tensor& rows,
                             const Statistics& moved) {
  return torch::batch_norm(rows, layer.weight, layer.bias, moved.mean, moved.variance,
                           /*training=*/true, layer.options.momentum().value(), layer.options.eps(),
                           at::globalContext().userEnabledCuDNN());
}

torch::Tensor normalise_over_ranks(const torch::nn::BatchNorm1dImpl& layer,
                                   const torch::Tensor& rows, const dist::Group& group,
                                   const Statistics& moved) {
  const auto count = static_cast<double>(rows.size(0) * group.size());
  const auto x = rows.to(torch::kFloat);
  const auto mean = dist::all_reduce_sum(x.sum(0), group) / count;
  const auto centred = x - mean;
  // Of centred values: the difference of mean squares would cancel.
  const auto variance = dist::all_reduce_sum(centred.square().sum(0), group) / count;
  {
    const torch::NoGradGuard no_grad;
    const double momentum = layer.options.momentum().value();
    moved.mean.lerp_(mean, momentum);
    moved.variance.lerp_(variance * (count / (count - 1.0)), momentum);
  }
  const auto normed = centred * (variance + layer.options.eps()).rsqrt();
  return (normed * layer.weight + layer.bias).to(rows.dtype());
}

void move_where_finite_(const torch::Tensor& statistic, const torch::Tensor& moved) {
  statistic.copy_(torch::where(moved.isfinite().all(), moved, statistic));
}

}  // namespace

torch::Tensor batch_norm(torch::nn::BatchNorm1dImpl& layer, const torch::Tensor& rows,
                         const dist::Group& group) {
  if (!layer.is_training()) return layer.forward(rows);
  const Statistics moved{layer.running_mean.clone(), layer.running_var.clone()};
  const auto normed = group.size() == 1 ? normalise_here(layer, rows, moved)
                                        : normalise_over_ranks(layer, rows, group, moved);
  const torch::NoGradGuard no_grad;
  layer.num_batches_tracked += 1;
  move_where_finite_(layer.running_mean, moved.mean);
  move_where_finite_(layer.running_var, moved.variance);
  return normed;
}

}  // namespace ibot::nn
