#include "ibot/nn/window_attention.h"

#include "ibot/nn/attention.h"
#include "ibot/nn/lean_linear.h"

namespace ibot::nn {

torch::Tensor relative_position_index(int64_t window) {
  const auto cells = torch::arange(window * window, torch::kLong);
  const auto row = cells.floor_divide(window);
  const auto column = cells.remainder(window);
  // Query minus key, moved to 0 … 2w - 2: [T, T].
  const auto offset = [window](const torch::Tensor& place) {
    return place.unsqueeze(1) - place.unsqueeze(0) + window - 1;
  };
  return offset(row) * (2 * window - 1) + offset(column);
}

WindowAttentionImpl::WindowAttentionImpl(int64_t embed_dim, int64_t heads, int64_t window,
                                         bool qkv_bias)
    : heads_(heads), tokens_(window * window) {
  const auto offsets = (2 * window - 1) * (2 * window - 1);
  relative_position_bias_table_ =
      register_parameter("relative_position_bias_table", torch::zeros({offsets, heads}));
  relative_position_index_ =
      register_buffer("relative_position_index", relative_position_index(window));
  qkv_ = register_module(
      "qkv", torch::nn::Linear(torch::nn::LinearOptions(embed_dim, 3 * embed_dim).bias(qkv_bias)));
  proj_ = register_module("proj", torch::nn::Linear(embed_dim, embed_dim));
}

std::vector<torch::Tensor> WindowAttentionImpl::project(torch::nn::LayerNorm& norm,
                                                        const torch::Tensor& tokens,
                                                        const WindowPlan& plan) {
  const auto projected = norm_linear(norm, qkv_, tokens, &plan);  // [B, W·T, 3·D]
  return split_heads(projected.view({-1, tokens_, projected.size(-1)}), heads_);
}

/// [W or 1, heads, T, T].
torch::Tensor WindowAttentionImpl::bias(const torch::Tensor& mask) {
  // A look-up in an embedding: its gradient is a sum of fixed order.
  const auto learnt = torch::embedding(relative_position_bias_table_, relative_position_index_)
                          .permute({2, 0, 1})
                          .unsqueeze(0);  // [1, heads, T, T]
  return mask.defined() ? learnt + mask.to(learnt.dtype()) : learnt;
}

torch::Tensor WindowAttentionImpl::attend(torch::nn::LayerNorm& norm, const torch::Tensor& tokens,
                                          const WindowPlan& plan, const DropoutMask& dropout) {
  // The windows of all images are one batch: each [B·W, heads, T, d].
  const auto parts = project(norm, tokens, plan);
  const auto attended =
      nn::attend(parts[0], parts[1], parts[2], {bias(plan.mask), dropout});  // [B·W, heads, T, d]
  return attended.transpose(1, 2).reshape({tokens.size(0), -1, tokens.size(2)});
}

torch::Tensor WindowAttentionImpl::add_to(const torch::Tensor& stream,
                                          const torch::Tensor& attended, const BranchScale& scale,
                                          const DropoutMask& dropout) {
  if (!dropout.kept.defined()) return add_linear(stream, attended, proj_, scale);
  return add_branch(stream, dropout.of(proj_->forward(attended)), scale);
}

torch::Tensor WindowAttentionImpl::weights(torch::nn::LayerNorm& norm, const torch::Tensor& tokens,
                                           const WindowPlan& plan) {
  const auto parts = project(norm, tokens, plan);
  return attention_weights(parts[0], parts[1], bias(plan.mask));
}

}  // namespace ibot::nn
