#include "ibot/nn/batch_norm.h"

#include <ATen/Context.h>

#include <numeric>

namespace ibot::nn {
namespace {

/// Copies of the running statistics, which a batch moves.
struct Statistics {
  torch::Tensor mean;
  torch::Tensor variance;
};

template <class Layer>
torch::Tensor normalize_here(const Layer& layer, const torch::Tensor& values,
                             const Statistics& moved) {
  return torch::batch_norm(values, layer.weight, layer.bias, moved.mean, moved.variance,
                           /*training=*/true, layer.options.momentum().value(), layer.options.eps(),
                           at::globalContext().userEnabledCuDNN());
}

/// Sums of each channel over all ranks. [B, D, ...] to [D].
torch::Tensor channel_sums(const torch::Tensor& values, const dist::Group& group) {
  std::vector<int64_t> others(values.dim());
  std::iota(others.begin(), others.end(), 0);
  others.erase(others.begin() + 1);
  return dist::all_reduce_sum(values.sum(others), group);
}

template <class Layer>
torch::Tensor normalize_over_ranks(const Layer& layer, const torch::Tensor& values,
                                   const dist::Group& group, const Statistics& moved) {
  const auto x = values.to(torch::kFloat);
  std::vector<int64_t> channels(x.dim(), 1);
  channels[1] = -1;
  const auto along = [&](const torch::Tensor& of_channel) { return of_channel.view(channels); };
  // Counted on the device: ranks may have different numbers, and none waits to learn them.
  const auto here = torch::full({1}, x.numel() / std::max<int64_t>(x.size(1), 1), x.options());
  const auto count = dist::all_reduce_sum(here, group);
  const auto mean = channel_sums(x, group) / count;
  const auto centered = x - along(mean);
  // Of centered values: the difference of mean squares would cancel.
  const auto variance = channel_sums(centered.square(), group) / count;
  {
    const torch::NoGradGuard no_grad;
    const double momentum = layer.options.momentum().value();
    moved.mean.lerp_(mean, momentum);
    // As in torch: the biased variance normalizes, the unbiased one is kept.
    moved.variance.lerp_(variance * (count / (count - 1.0)), momentum);
  }
  const auto normed = centered * along((variance + layer.options.eps()).rsqrt());
  return (normed * along(layer.weight) + along(layer.bias)).to(values.dtype());
}

/// One overflowed batch would otherwise spoil the running statistics for ever.
void move_where_finite_(const torch::Tensor& statistic, const torch::Tensor& moved) {
  statistic.copy_(torch::where(moved.isfinite().all(), moved, statistic));
}

template <class Layer>
torch::Tensor normalize(Layer& layer, const torch::Tensor& values, const dist::Group& group) {
  if (!layer.is_training()) return layer.forward(values);
  const Statistics moved{layer.running_mean.clone(), layer.running_var.clone()};
  const auto normed = group.size() == 1 ? normalize_here(layer, values, moved)
                                        : normalize_over_ranks(layer, values, group, moved);
  const torch::NoGradGuard no_grad;
  layer.num_batches_tracked += 1;
  move_where_finite_(layer.running_mean, moved.mean);
  move_where_finite_(layer.running_var, moved.variance);
  return normed;
}

}  // namespace

torch::Tensor batch_norm(torch::nn::BatchNorm1dImpl& layer, const torch::Tensor& rows,
                         const dist::Group& group) {
  return normalize(layer, rows, group);
}

torch::Tensor batch_norm(torch::nn::BatchNorm2dImpl& layer, const torch::Tensor& maps,
                         const dist::Group& group) {
  return normalize(layer, maps, group);
}

}  // namespace ibot::nn
