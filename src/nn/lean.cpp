#include "nn/lean.h"

#include <ATen/autocast_mode.h>
#include <ATen/ops/native_layer_norm_backward.h>

#include <algorithm>

#include "ibot/base/error.h"
#include "ibot/nn/autocast_scope.h"
#include "ibot/nn/windows.h"

namespace ibot::nn {
namespace {

/// Products of fewer rows no longer run at full speed; of more, the MLP's hidden rows leave the
/// cache.
constexpr int64_t kRowsAtOnce = 1024;

bool is_half(const torch::Tensor& tensor) {
  return tensor.scalar_type() == torch::kHalf || tensor.scalar_type() == torch::kBFloat16;
}

/// The parameter in the precision in force, from autocast's cache of this step.
torch::Tensor cast(const torch::Tensor& tensor) {
  const auto device = tensor.device().type();
  const auto dtype = autocast_in_force(device);
  return dtype ? at::autocast::cached_cast(*dtype, tensor, device) : tensor;
}

/// Backward pass of a norm that keeps its input.
kernels::NormGradients norm_backward(const kernels::NormBackward& in, const NormKept& kept,
                                     const NormParameters& norm) {
  // Only a CPU's norm mixes half-precision rows with float32 parameters.
  const auto input = kept.rows.is_cpu() ? kept.rows : kept.rows.to(norm.scale.scalar_type());
  const bool of_rows = in.of_rows.defined();
  const auto [rows, scale, shift] = at::native_layer_norm_backward(
      in.gradient.to(input.scalar_type()), input, norm.scale.sizes(), kept.mean, kept.rstd,
      norm.scale, norm.shift, {of_rows, true, true});
  if (of_rows) torch::Tensor(in.of_rows).copy_(rows);
  if (of_rows && in.above.defined()) torch::Tensor(in.of_rows).add_(in.above);
  return {scale, shift, kernels::normalize(kept.rows, norm, kept.rows.scalar_type(), {})};
}

}  // namespace

Affine in_force(const torch::Tensor& weight, const torch::Tensor& bias) {
  return {cast(weight), bias.defined() ? std::optional(cast(bias)) : std::nullopt};
}

std::vector<Chunk> chunks_of(const torch::Tensor& rows) {
  const auto count = rows.size(0);
  const auto parts = rows.is_cpu() ? (count + kRowsAtOnce - 1) / kRowsAtOnce : 1;
  if (parts <= 1) return {{0, count}};
  // Of nearly equal size: no short last chunk.
  const auto step = (count + parts - 1) / parts;
  std::vector<Chunk> chunks;
  for (int64_t first = 0; first < count; first += step) {
    chunks.push_back({first, std::min(step, count - first)});
  }
  return chunks;
}

void linear_out_(torch::Tensor output, const torch::Tensor& input, const Affine& layer) {
  if (layer.bias) {
    at::addmm_out(output, *layer.bias, input, layer.weight.t());
  } else {
    at::mm_out(output, input, layer.weight.t());
  }
}

void ProductSum::add(const torch::Tensor& a, const torch::Tensor& b) {
  if (!sum_.defined()) {
    sum_ = a.t().mm(b);
  } else if (is_half(a)) {
    // Each product is rounded to half precision; their sum must not be.
    sum_ = sum_.to(torch::kFloat).add_(a.t().mm(b));
  } else {
    sum_.addmm_(a.t(), b);
  }
}

torch::Tensor column_sums(const torch::Tensor& rows) {
  return is_half(rows) ? rows.sum({0}, false, torch::kFloat) : rows.sum(0);
}

void accumulate_(torch::Tensor& sum, const torch::Tensor& part) {
  if (sum.defined()) {
    sum.add_(part);
  } else {
    sum = part;
  }
}

torch::Tensor normed_rows(const torch::Tensor& rows, const NormParameters& norm,
                          torch::ScalarType dtype, const NormKept* kept) {
  if (!kept) return kernels::normalize(rows, norm, dtype, {});
  const auto normalized = kept->normalized ? kept->rows : torch::Tensor();
  return kernels::normalize(rows, norm, dtype, {normalized, kept->mean, kept->rstd});
}

NormKept room_for_norm(const torch::Tensor& rows, const NormParameters& norm,
                       torch::ScalarType dtype) {
  const bool normalized = dtype != rows.scalar_type();
  const auto mean = norm.scale.new_empty({rows.size(0), 1});
  return {normalized ? torch::empty(rows.sizes(), rows.options().dtype(dtype)) : rows, mean,
          torch::empty_like(mean), normalized};
}

torch::Tensor RowOrder::in_windows(const torch::Tensor& rows, int64_t images) const {
  if (!to_windows.defined()) return rows;
  const auto maps = rows.view({images, -1, rows.size(1)});
  return nn::to_windows(maps, {to_windows, to_map, {}}).flatten(0, 1);
}

torch::Tensor RowOrder::in_map(const torch::Tensor& rows, int64_t images) const {
  if (!to_map.defined()) return rows;
  const auto windows = rows.view({images, -1, rows.size(1)});
  return nn::to_map(windows, {to_windows, to_map, {}}).flatten(0, 1);
}

void NormLinearBackward::add(const torch::Tensor& gradient, const NormKept& kept,
                             const torch::Tensor& above, const torch::Tensor& of_rows) {
  const auto images = gradient.size(0);
  const auto rows = gradient.flatten(0, -2);
  const kernels::NormBackward in{order_.in_map(rows.mm(weight_), images), kept.rows, kept.rstd,
                                 above, of_rows};
  const auto of_norm =
      kept.normalized ? kernels::normalize_backward(in, norm_) : norm_backward(in, kept, norm_);
  products_.add(rows, order_.in_windows(of_norm.output, images));
  accumulate_(bias_, column_sums(rows));
  accumulate_(scale_, of_norm.scale);
  accumulate_(shift_, of_norm.shift);
}

void refuse_second_derivatives() {
  IBOT_CHECK(!torch::GradMode::is_enabled(),
             "backward: expected first derivatives, got create_graph; blocks compute no gradients "
             "of gradients");
}

}  // namespace ibot::nn
