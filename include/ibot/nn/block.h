// The transformer block and its MLP.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include <vector>

#include "ibot/nn/attention.h"
#include "ibot/nn/block_context.h"
#include "ibot/nn/dropout.h"
#include "ibot/nn/layer_norm.h"

namespace ibot::nn {

/// Linear, GELU (erf form), Linear.
class MlpImpl : public torch::nn::Module {
 public:
  MlpImpl(int64_t embed_dim, int64_t hidden_dim);
  /// tokens + scale · mlp(norm(tokens)): [..., D] → [..., D]; hidden values and outputs dropped.
  torch::Tensor add_to(const torch::Tensor& tokens, torch::nn::LayerNorm& norm,
                       const BranchScale& scale, const BlockDropout& dropout = {});

 private:
  torch::nn::Linear fc1_{nullptr};
  torch::nn::Linear fc2_{nullptr};
};
TORCH_MODULE(Mlp);

struct BlockOptions {
  int64_t embed_dim = 0;
  int64_t heads = 0;
  double mlp_ratio = 4.0;
  bool qkv_bias = true;
  double drop_path = 0.0;
  double layer_scale = 0.0;
  int64_t bias_side = 0;  // as AttentionOptions has it

  int64_t hidden_dim() const {
    return static_cast<int64_t>(static_cast<double>(embed_dim) * mlp_ratio);
  }
};

/// Pre-norm block: x + attention(norm(x)), then x + mlp(norm(x)), each branch scaled by a
/// learnt vector where layer_scale is above 0 and dropped for some samples while training.
class BlockImpl : public torch::nn::Module {
 public:
  explicit BlockImpl(const BlockOptions& options);

  /// tokens [B, T, D] → [B, T, D]
  torch::Tensor forward(const torch::Tensor& tokens, const BlockContext& context);

  /// Rows `rows` of what forward gives for all tokens, at a fraction of its cost: projection and
  /// MLP see these rows alone.
  ///
  ///   tokens   [B, T, D]
  ///   rows     [R]         int64, indices in [0, B·T)
  ///   returns  [R, D]
  torch::Tensor forward_rows(const torch::Tensor& tokens, const torch::Tensor& rows,
                             const BlockContext& context);

  /// Softmax attention of this block: [B, T, D] → [B, heads, T, T].
  torch::Tensor attention(const torch::Tensor& tokens);

  /// The first token's row of it: [B, T, D] → [B, heads, T].
  torch::Tensor first_attention(const torch::Tensor& tokens);

 private:
  /// Of dropped outputs only those of `rows`; undefined: all.
  BlockDraws draw(const torch::Tensor& tokens, const BlockContext& context,
                  const torch::Tensor& rows = {}) const;
  torch::Tensor run(const torch::Tensor& tokens, const BlockDraws& draws);
  torch::Tensor run_rows(const torch::Tensor& tokens, const torch::Tensor& rows,
                         const BlockDraws& draws);
  torch::Tensor finish(const torch::Tensor& tokens, const torch::Tensor& attended,
                       const BlockDraws& draws);

  BlockOptions options_;
  torch::nn::LayerNorm norm1_{nullptr};
  Attention attn_{nullptr};
  torch::nn::LayerNorm norm2_{nullptr};
  Mlp mlp_{nullptr};
  torch::Tensor gamma_1_;
  torch::Tensor gamma_2_;
};
TORCH_MODULE(Block);

}  // namespace ibot::nn
