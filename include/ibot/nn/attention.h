// Multi-head self-attention.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include <vector>

#include "ibot/nn/dropout.h"
#include "ibot/nn/residual.h"

namespace ibot::nn {

/// Projected tokens as queries, keys and values of each head.
///
///   projected  [B, T, 3·D]              queries, then keys, then values
///   returns    three [B, heads, T, d]   views, D = heads · d; their gradients are written side by
///              side, as `projected` lies
std::vector<torch::Tensor> split_heads(const torch::Tensor& projected, int64_t heads);

/// What attention takes besides queries, keys and values.
///
///   bias     [W or 1, heads, T, T]   added to the scores of W windows; undefined: none
///   dropout  of the weights [B·W, heads, T, T]
struct AttentionTerms {
  torch::Tensor bias = {};
  DropoutMask dropout = {};
};

/// softmax(query keyᵀ / √d + bias), float32 where that is: [B·W, heads, T, d] → [B·W, heads, T, T]
torch::Tensor attention_weights(const torch::Tensor& query, const torch::Tensor& key,
                                const torch::Tensor& bias);

/// Dropped weights times value, by a fused kernel where there is one: [B·W, heads, T, d].
torch::Tensor attend(const torch::Tensor& query, const torch::Tensor& key,
                     const torch::Tensor& value, const AttentionTerms& terms);

struct AttentionOptions {
  int64_t embed_dim = 0;
  int64_t heads = 0;
  bool qkv_bias = true;
  /// Side of the square of patches that the learnt bias of their offsets is made for; 0: no bias.
  int64_t bias_side = 0;
};

/// Self-attention over all normalized tokens, heads of equal width.
/// Source: Vaswani et al. 2017; names and layout of the reference's `Attention`.
class AttentionImpl : public torch::nn::Module {
 public:
  explicit AttentionImpl(const AttentionOptions& options);

  /// What each token attends to, before the projection, some weights dropped: [B, T, D] →
  /// [B, T, D].
  torch::Tensor attend(torch::nn::LayerNorm& norm, const torch::Tensor& tokens,
                       const DropoutMask& dropout = {});

  /// stream + scale · projection of `attended`, some of its values dropped; both [B, T, D] or
  /// [R, D].
  torch::Tensor add_to(const torch::Tensor& stream, const torch::Tensor& attended,
                       const BranchScale& scale, const DropoutMask& dropout = {});

  /// Softmax attention: [B, T, D] → [B, heads, T, T].
  torch::Tensor weights(torch::nn::LayerNorm& norm, const torch::Tensor& tokens);

  /// The first token's row of it: [B, T, D] → [B, heads, T].
  torch::Tensor first_weights(torch::nn::LayerNorm& norm, const torch::Tensor& tokens);

 private:
  /// Of the first `count` queries: [B, heads, count, T].
  torch::Tensor weights_of(torch::nn::LayerNorm& norm, const torch::Tensor& tokens, int64_t count);

  /// [1, heads, T, T] of a class token and a square of patches; undefined without a table.
  torch::Tensor bias(const torch::Tensor& tokens);

  AttentionOptions options_;
  torch::Tensor relative_position_bias_table_;
  torch::Tensor position_index_;  // of the number of tokens met last
  torch::nn::Linear qkv_{nullptr};
  torch::nn::Linear proj_{nullptr};
};
TORCH_MODULE(Attention);

}  // namespace ibot::nn
