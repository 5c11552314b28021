#include "ibot/nn/attention.h"

#include <cmath>

#include "ibot/nn/lean_linear.h"

namespace ibot::nn {
namespace {

/// The bias for every window of every image, copied only where windows differ.
torch::Tensor spread(const torch::Tensor& bias, int64_t windows) {
  if (bias.size(0) == 1) return bias;
  return bias.unsqueeze(0).expand({windows / bias.size(0), -1, -1, -1, -1}).flatten(0, 1);
}

}  // namespace

std::vector<torch::Tensor> split_heads(const torch::Tensor& projected, int64_t heads) {
  // unbind's gradient is one stack; slicing would fill and add a whole tensor for each part.
  return projected.view({projected.size(0), projected.size(1), 3, heads, -1})
      .permute({2, 0, 3, 1, 4})
      .unbind(0);
}

torch::Tensor attention_weights(const torch::Tensor& query, const torch::Tensor& key,
                                const torch::Tensor& bias) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(query.size(-1)));
  const auto scores = (query * scale).matmul(key.transpose(-2, -1));
  if (!bias.defined()) return scores.softmax(-1);
  const auto of_image = scores.unflatten(0, {-1, bias.size(0)}) + bias;  // [B, W, heads, T, T]
  return of_image.softmax(-1).flatten(0, 1);
}

torch::Tensor attend(const torch::Tensor& query, const torch::Tensor& key,
                     const torch::Tensor& value, const AttentionTerms& terms) {
  const auto& [bias, dropout] = terms;
  // Fused kernels draw from a generator of their own. On a CPU none differentiates the bias, and
  // what serves instead takes twice as long.
  if (dropout.kept.defined() || (bias.defined() && query.is_cpu())) {
    return dropout.of(attention_weights(query, key, bias)).to(value.dtype()).matmul(value);
  }
  if (!bias.defined()) return torch::scaled_dot_product_attention(query, key, value);
  return torch::scaled_dot_product_attention(query, key, value,
                                             spread(bias.to(query.dtype()), query.size(0)));
}

AttentionImpl::AttentionImpl(int64_t embed_dim, int64_t heads, bool qkv_bias) : heads_(heads) {
  qkv_ = register_module(
      "qkv", torch::nn::Linear(torch::nn::LinearOptions(embed_dim, 3 * embed_dim).bias(qkv_bias)));
  proj_ = register_module("proj", torch::nn::Linear(embed_dim, embed_dim));
}

torch::Tensor AttentionImpl::attend_all(torch::nn::LayerNorm& norm, const torch::Tensor& tokens,
                                        const DropoutMask& dropout) {
  const auto parts = split_heads(norm_linear(norm, qkv_, tokens), heads_);
  const auto attended = attend(parts[0], parts[1], parts[2], {.dropout = dropout});
  return attended.transpose(1, 2).flatten(2);  // [B, T, D]
}

torch::Tensor AttentionImpl::forward(torch::nn::LayerNorm& norm, const torch::Tensor& tokens,
                                     const DropoutMask& dropout) {
  return proj_->forward(attend_all(norm, tokens, dropout));
}

torch::Tensor AttentionImpl::forward_rows(torch::nn::LayerNorm& norm, const torch::Tensor& tokens,
                                          const torch::Tensor& rows, const DropoutMask& dropout) {
  return proj_->forward(attend_all(norm, tokens, dropout).flatten(0, 1).index_select(0, rows));
}

torch::Tensor AttentionImpl::weights(torch::nn::LayerNorm& norm, const torch::Tensor& tokens) {
  return weights_of(norm, tokens, tokens.size(1));
}

torch::Tensor AttentionImpl::first_weights(torch::nn::LayerNorm& norm,
                                           const torch::Tensor& tokens) {
  return weights_of(norm, tokens, 1).squeeze(2);
}

torch::Tensor AttentionImpl::weights_of(torch::nn::LayerNorm& norm, const torch::Tensor& tokens,
                                        int64_t count) {
  const auto parts = split_heads(norm_linear(norm, qkv_, tokens), heads_);
  return attention_weights(parts[0].narrow(2, 0, count), parts[1], {});
}

}  // namespace ibot::nn
