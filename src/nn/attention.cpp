#include "ibot/nn/attention.h"

#include <cmath>

namespace ibot::nn {
namespace {

/// [B, T, parts·D] → one tensor [B, heads, T, d] for each part.
std::vector<torch::Tensor> split_heads(const torch::Tensor& projected, int64_t parts,
                                       int64_t heads) {
  // unbind's gradient is one stack; slicing would fill and add a whole tensor for each part.
  return projected.view({projected.size(0), projected.size(1), parts, heads, -1})
      .permute({2, 0, 3, 1, 4})
      .unbind(0);
}

}  // namespace

AttentionImpl::AttentionImpl(int64_t embed_dim, int64_t heads, bool qkv_bias) : heads_(heads) {
  qkv_ = register_module(
      "qkv", torch::nn::Linear(torch::nn::LinearOptions(embed_dim, 3 * embed_dim).bias(qkv_bias)));
  proj_ = register_module("proj", torch::nn::Linear(embed_dim, embed_dim));
}

torch::Tensor AttentionImpl::attend(const torch::Tensor& query, const torch::Tensor& key,
                                    const torch::Tensor& value) {
  const auto attended = torch::scaled_dot_product_attention(query, key, value);  // [B, h, T, d]
  return proj_->forward(attended.transpose(1, 2).flatten(2));                    // [B, T, D]
}

torch::Tensor AttentionImpl::forward(const torch::Tensor& tokens) {
  const auto parts = split_heads(qkv_->forward(tokens), 3, heads_);
  return attend(parts[0], parts[1], parts[2]);
}

torch::Tensor AttentionImpl::forward_first(const torch::Tensor& tokens) {
  const auto width = tokens.size(2);
  const auto bias = [&](int64_t first, int64_t count) {
    return qkv_->bias.defined() ? qkv_->bias.narrow(0, first, count) : torch::Tensor();
  };
  const auto query =
      torch::linear(tokens.narrow(1, 0, 1), qkv_->weight.narrow(0, 0, width), bias(0, width));
  const auto key_value =
      torch::linear(tokens, qkv_->weight.narrow(0, width, 2 * width), bias(width, 2 * width));
  const auto parts = split_heads(key_value, 2, heads_);
  return attend(split_heads(query, 1, heads_)[0], parts[0], parts[1]);
}

torch::Tensor AttentionImpl::weights(const torch::Tensor& tokens) {
  const auto parts = split_heads(qkv_->forward(tokens), 3, heads_);
  const double scale = 1.0 / std::sqrt(static_cast<double>(parts[0].size(-1)));
  return (parts[0] * scale).matmul(parts[1].transpose(-2, -1)).softmax(-1);
}

}  // namespace ibot::nn
