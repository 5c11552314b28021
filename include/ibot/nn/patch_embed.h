// Image to patch tokens.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

#include "ibot/nn/layer_norm.h"

namespace ibot::nn {

/// Splits images into square patches and projects each to one token, which `norm` normalizes.
///
///   images   [B, 3, H, W]   pixels beyond the last whole patch are ignored
///   returns  [B, N, D]      row-major over the grid, N = (H / P) * (W / P)
///
/// Source: Dosovitskiy et al. 2021, eq. 1.
class PatchEmbedImpl : public torch::nn::Module {
 public:
  PatchEmbedImpl(int64_t patch_size, int64_t embed_dim, bool norm = false);
  torch::Tensor forward(const torch::Tensor& images);

 private:
  int64_t patch_size_;
  torch::nn::Conv2d proj_{nullptr};
  torch::nn::LayerNorm norm_{nullptr};
};
TORCH_MODULE(PatchEmbed);

}  // namespace ibot::nn
