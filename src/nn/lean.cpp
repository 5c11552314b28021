#include "nn/lean.h"

#include <ATen/autocast_mode.h>
#include <ATen/ops/native_layer_norm.h>
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

torch::Tensor cast(const torch::Tensor& tensor) {
  const auto device = tensor.device().type();
  const auto dtype = autocast_in_force(device);
  return dtype ? at::autocast::cached_cast(*dtype, tensor, device) : tensor;
}

/// The rows as a norm takes them: only a CPU's mixes half-precision rows with float32 parameters.
torch::Tensor rows_for(const NormParameters& norm, const torch::Tensor& rows) {
  return rows.is_cpu() ? rows : rows.to(norm.scale.scalar_type());
}

/// The same rows again, but for the rounding of what was kept.
torch::Tensor normalize_again(const NormKept& kept, const NormParameters& norm,
                              torch::ScalarType dtype) {
  if (kept.normalized) {
    return torch::addcmul(norm.shift, kept.rows.to(norm.scale.scalar_type()), norm.scale).to(dtype);
  }
  return std::get<0>(at::native_layer_norm(rows_for(norm, kept.rows), norm.scale.sizes(),
                                           norm.scale, norm.shift, norm.eps))
      .to(dtype);
}

struct NormGradients {
  torch::Tensor tokens, scale, shift;
};

NormGradients norm_backward(const torch::Tensor& gradient, const NormKept& kept,
                            const NormParameters& norm, bool of_tokens) {
  const bool normalized = kept.normalized;
  const auto input =
      normalized ? kept.rows.to(norm.scale.scalar_type()) : rows_for(norm, kept.rows);
  // Of what is normalized already, mean and deviation are 0 and 1.
  const auto mean = normalized ? torch::zeros_like(kept.mean) : kept.mean;
  const auto rstd = normalized ? torch::ones_like(kept.rstd) : kept.rstd;
  auto [tokens, scale, shift] =
      at::native_layer_norm_backward(gradient.to(input.scalar_type()), input, norm.scale.sizes(),
                                     mean, rstd, norm.scale, norm.shift, {of_tokens, true, true});
  if (normalized && of_tokens) tokens.mul_(kept.rstd);
  return {tokens, scale, shift};
}

}  // namespace

Affine in_force(const torch::Tensor& weight, const torch::Tensor& bias) {
  return {cast(weight), bias.defined() ? std::optional(cast(bias)) : std::nullopt};
}

std::vector<Chunk> chunks_of(const torch::Tensor& rows) {
  const auto count = rows.size(0);
  const auto parts = rows.is_cpu() ? (count + kRowsAtOnce - 1) / kRowsAtOnce : 1;
  if (parts <= 1) return {{0, count}};
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

Normed normalize(const torch::Tensor& tokens, const NormParameters& norm, torch::ScalarType dtype,
                 bool keep) {
  const auto [rows, mean, rstd] = at::native_layer_norm(rows_for(norm, tokens), norm.scale.sizes(),
                                                        norm.scale, norm.shift, norm.eps);
  if (!keep) return {rows.to(dtype), {}};
  const bool normalized = dtype != tokens.scalar_type();
  const auto kept = normalized ? ((tokens - mean) * rstd).to(dtype) : tokens;
  return {rows.to(dtype), {kept, mean, rstd, normalized}};
}

NormKept room_for_norm(const torch::Tensor& rows, const NormParameters& norm,
                       torch::ScalarType dtype) {
  const bool normalized = dtype != rows.scalar_type();
  const auto mean = norm.scale.new_empty({rows.size(0), 1});
  return {normalized ? torch::empty(rows.sizes(), rows.options().dtype(dtype)) : rows, mean,
          torch::empty_like(mean), normalized};
}

void NormKept::put(const NormKept& part, const Chunk& chunk) {
  chunk.of(mean).copy_(part.mean);
  chunk.of(rstd).copy_(part.rstd);
  if (normalized) chunk.of(rows).copy_(part.rows);
}

torch::Tensor RowOrder::in_windows(const torch::Tensor& rows) const {
  return to_windows.defined() ? nn::to_windows(rows, {to_windows, to_map, {}}) : rows;
}

torch::Tensor RowOrder::in_map(const torch::Tensor& rows) const {
  return to_map.defined() ? nn::to_map(rows, {to_windows, to_map, {}}) : rows;
}

torch::Tensor NormLinearBackward::add(const torch::Tensor& gradient, const NormKept& kept) {
  const auto rows = gradient.flatten(0, -2);
  const auto normed = order_.in_windows(normalize_again(kept, norm_, weight_.scalar_type()));
  products_.add(rows, normed.flatten(0, -2));
  accumulate_(bias_, column_sums(rows));
  const auto of_normed = order_.in_map(rows.mm(weight_).view(normed.sizes()));
  const auto of_norm = norm_backward(of_normed, kept, norm_, of_rows_);
  accumulate_(scale_, of_norm.scale);
  accumulate_(shift_, of_norm.shift);
  return of_norm.tokens;
}

void refuse_second_derivatives() {
  IBOT_CHECK(!torch::GradMode::is_enabled(),
             "backward: expected first derivatives, got create_graph; blocks compute no gradients "
             "of gradients");
}

}  // namespace ibot::nn
