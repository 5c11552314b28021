// Multi-head self-attention within windows.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include <vector>

#include "ibot/nn/dropout.h"
#include "ibot/nn/residual.h"
#include "ibot/nn/windows.h"

namespace ibot::nn {

/// Index of each pair's offset in a table of all offsets within a window.
///
///   returns  [T, T]   int64, (row(q) - row(k) + w - 1)·(2w - 1) + column(q) - column(k) + w - 1 of
///                     the query q and the key k, both row-major over the window, T = w·w
torch::Tensor relative_position_index(int64_t window);

/// Self-attention of the tokens of each window, with a learnt bias for each head and offset.
/// Source: Liu et al. 2021 (Swin), eq. 4; names of the reference's `WindowAttention`.
class WindowAttentionImpl : public torch::nn::Module {
 public:
  WindowAttentionImpl(int64_t embed_dim, int64_t heads, int64_t window, bool qkv_bias);

  /// What each token attends to within its window of `plan`, before the projection.
  ///
  ///   tokens   [B, L, D]     of a square map, not yet normalized
  ///   dropout  of the weights [B·W, heads, T, T]
  ///   returns  [B, W·T, D]   T = window·window tokens of each of W windows, one after the other
  torch::Tensor attend(torch::nn::LayerNorm& norm, const torch::Tensor& tokens,
                       const WindowPlan& plan, const DropoutMask& dropout = {});

  /// stream + scale · projection of `attended`, some of its values dropped; both [B, L, D].
  torch::Tensor add_to(const torch::Tensor& stream, const torch::Tensor& attended,
                       const BranchScale& scale, const DropoutMask& dropout = {});

  /// Softmax attention of `attend`: [B·W, heads, T, T], the windows of an image one after the
  /// other.
  torch::Tensor weights(torch::nn::LayerNorm& norm, const torch::Tensor& tokens,
                        const WindowPlan& plan);

 private:
  std::vector<torch::Tensor> project(torch::nn::LayerNorm& norm, const torch::Tensor& tokens,
                                     const WindowPlan& plan);
  torch::Tensor bias(const torch::Tensor& mask);

  int64_t heads_;
  int64_t tokens_;
  torch::Tensor relative_position_bias_table_;
  torch::Tensor relative_position_index_;
  torch::nn::Linear qkv_{nullptr};
  torch::nn::Linear proj_{nullptr};
};
TORCH_MODULE(WindowAttention);

}  // namespace ibot::nn
