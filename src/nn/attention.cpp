#include "ibot/nn/attention.h"

#include <cmath>

#include "ibot/nn/lean_linear.h"

namespace ibot::nn {

std::vector<torch::Tensor> split_heads(const torch::Tensor& projected, int64_t heads) {
  // unbind's gradient is one stack; slicing would fill and add a whole tensor for each part.
  return projected.view({projected.size(0), projected.size(1), 3, heads, -1})
      .permute({2, 0, 3, 1, 4})
      .unbind(0);
}

AttentionImpl::AttentionImpl(int64_t embed_dim, int64_t heads, bool qkv_bias) : heads_(heads) {
  qkv_ = register_module(
      "qkv", torch::nn::Linear(torch::nn::LinearOptions(embed_dim, 3 * embed_dim).bias(qkv_bias)));
  proj_ = register_module("proj", torch::nn::Linear(embed_dim, embed_dim));
}

torch::Tensor AttentionImpl::attend(torch::nn::LayerNorm& norm, const torch::Tensor& tokens) {
  const auto parts = split_heads(norm_linear(norm, qkv_, tokens), heads_);
  const auto attended = torch::scaled_dot_product_attention(parts[0], parts[1], parts[2]);
  return attended.transpose(1, 2).flatten(2);  // [B, T, D]
}

torch::Tensor AttentionImpl::forward(torch::nn::LayerNorm& norm, const torch::Tensor& tokens) {
  return proj_->forward(attend(norm, tokens));
}

torch::Tensor AttentionImpl::forward_rows(torch::nn::LayerNorm& norm, const torch::Tensor& tokens,
                                          const torch::Tensor& rows) {
  return proj_->forward(attend(norm, tokens).flatten(0, 1).index_select(0, rows));
}

torch::Tensor AttentionImpl::weights(torch::nn::LayerNorm& norm, const torch::Tensor& tokens) {
  const auto parts = split_heads(norm_linear(norm, qkv_, tokens), heads_);
  const double scale = 1.0 / std::sqrt(static_cast<double>(parts[0].size(-1)));
  return (parts[0] * scale).matmul(parts[1].transpose(-2, -1)).softmax(-1);
}

}  // namespace ibot::nn
