// Multi-head self-attention.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

namespace ibot::nn {

/// Self-attention over all tokens, heads of equal width.
/// Source: Vaswani et al. 2017; names and layout of the reference's `Attention`.
class AttentionImpl : public torch::nn::Module {
 public:
  AttentionImpl(int64_t embed_dim, int64_t heads, bool qkv_bias);

  /// tokens [B, T, D] → [B, T, D]
  torch::Tensor forward(const torch::Tensor& tokens);

  /// The same for token 0 alone, which attends to all: [B, T, D] → [B, 1, D].
  torch::Tensor forward_first(const torch::Tensor& tokens);

  /// Softmax attention: [B, T, D] → [B, heads, T, T].
  torch::Tensor weights(const torch::Tensor& tokens);

 private:
  torch::Tensor attend(const torch::Tensor& query, const torch::Tensor& key,
                       const torch::Tensor& value);

  int64_t heads_;
  torch::nn::Linear qkv_{nullptr};
  torch::nn::Linear proj_{nullptr};
};
TORCH_MODULE(Attention);

}  // namespace ibot::nn
