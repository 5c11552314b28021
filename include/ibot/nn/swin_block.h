// The Swin block and the merging of patches between stages.
#pragma once

#include <optional>

#include "ibot/nn/block.h"
#include "ibot/nn/window_attention.h"
#include "ibot/nn/windows.h"

namespace ibot::nn {

struct SwinBlockOptions {
  int64_t embed_dim = 0;
  int64_t heads = 0;
  WindowOptions windows;
  double mlp_ratio = 4.0;
  bool qkv_bias = true;
  double drop_path = 0.0;

  int64_t hidden_dim() const {
    return static_cast<int64_t>(static_cast<double>(embed_dim) * mlp_ratio);
  }
};

/// Pre-norm block of a map: x + attention(norm(x)) within windows, then x + mlp(norm(x)),
/// branches dropped for some samples while training.
class SwinBlockImpl : public torch::nn::Module {
 public:
  explicit SwinBlockImpl(const SwinBlockOptions& options);

  /// tokens [B, L, D] → [B, L, D] of a map of that size; none: a square, so that L must be one
  torch::Tensor forward(const torch::Tensor& tokens, const BlockContext& context,
                        const std::optional<MapSize>& map = {});

  /// Softmax attention of this block, of a square map: [B·W, heads, T, T] of the T tokens of each
  /// of W windows.
  torch::Tensor attention(const torch::Tensor& tokens);

 private:
  BlockDraws draw(const torch::Tensor& tokens, const BlockContext& context, const WindowPlan& plan);
  torch::Tensor run(const torch::Tensor& tokens, const BlockDraws& draws, const WindowPlan& plan);

  SwinBlockOptions options_;
  WindowPlans plans_;
  torch::nn::LayerNorm norm1_{nullptr};
  WindowAttention attn_{nullptr};
  torch::nn::LayerNorm norm2_{nullptr};
  Mlp mlp_{nullptr};
};
TORCH_MODULE(SwinBlock);

/// Side of a square map.
///
/// Throws Error where `tokens` is no square number.
int64_t map_side(int64_t tokens);

/// Joins each 2 x 2 tokens of a map to one of twice the width; odd maps gain a row and a
/// column of zeros. Channels of (row, column): (even, even), (odd, even), (even, odd), (odd, odd).
///
/// Source: reference `swin_transformer.py` (PatchMerging).
class PatchMergingImpl : public torch::nn::Module {
 public:
  explicit PatchMergingImpl(int64_t embed_dim);

  /// tokens [B, H·W, D] → [B, ⌈H / 2⌉·⌈W / 2⌉, 2·D]; `map` is {H, W}, none: a square
  torch::Tensor forward(const torch::Tensor& tokens, const std::optional<MapSize>& map = {});

 private:
  torch::nn::Linear reduction_{nullptr};
  torch::nn::LayerNorm norm_{nullptr};
};
TORCH_MODULE(PatchMerging);

}  // namespace ibot::nn
