// Multi-head self-attention.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include <vector>

namespace ibot::nn {

/// Projected tokens as queries, keys and values of each head.
///
///   projected  [B, T, 3·D]              queries, then keys, then values
///   returns    three [B, heads, T, d]   views, D = heads · d
std::vector<torch::Tensor> split_heads(const torch::Tensor& projected, int64_t heads);

/// Self-attention over all normalized tokens, heads of equal width.
/// Source: Vaswani et al. 2017; names and layout of the reference's `Attention`.
class AttentionImpl : public torch::nn::Module {
 public:
  AttentionImpl(int64_t embed_dim, int64_t heads, bool qkv_bias);

  /// tokens [B, T, D] → [B, T, D]
  torch::Tensor forward(torch::nn::LayerNorm& norm, const torch::Tensor& tokens);

  /// Rows `rows` of what forward gives for all tokens, one below the other.
  ///
  ///   tokens   [B, T, D]
  ///   rows     [R]         int64, indices in [0, B·T)
  ///   returns  [R, D]
  torch::Tensor forward_rows(torch::nn::LayerNorm& norm, const torch::Tensor& tokens,
                             const torch::Tensor& rows);

  /// Softmax attention: [B, T, D] → [B, heads, T, T].
  torch::Tensor weights(torch::nn::LayerNorm& norm, const torch::Tensor& tokens);

 private:
  torch::Tensor attend(torch::nn::LayerNorm& norm, const torch::Tensor& tokens);

  int64_t heads_;
  torch::nn::Linear qkv_{nullptr};
  torch::nn::Linear proj_{nullptr};
};
TORCH_MODULE(Attention);

}  // namespace ibot::nn
