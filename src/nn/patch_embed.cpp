#include "ibot/nn/patch_embed.h"

#include "ibot/base/error.h"

namespace ibot::nn {

PatchEmbedImpl::PatchEmbedImpl(int64_t patch_size, int64_t embed_dim, bool norm)
    : patch_size_(patch_size) {
  proj_ = register_module(
      "proj",
      torch::nn::Conv2d(torch::nn::Conv2dOptions(3, embed_dim, patch_size).stride(patch_size)));
  if (norm) norm_ = register_module("norm", layer_norm(embed_dim));
}

// A convolution whose stride is its kernel is one matrix product over the patches; written so, it
// yields tokens in order without a transposed copy and its weight gradient is a plain product too.
torch::Tensor PatchEmbedImpl::forward(const torch::Tensor& images) {
  const auto p = patch_size_;
  const auto rows = images.size(2) / p;
  const auto columns = images.size(3) / p;
  IBOT_CHECK(rows > 0 && columns > 0, "patch embedding: expected images of at least one patch of ",
             p, " pixels, got ", images.sizes());
  const auto patches = images.narrow(2, 0, rows * p)
                           .narrow(3, 0, columns * p)
                           .reshape({images.size(0), 3, rows, p, columns, p})
                           .permute({0, 2, 4, 1, 3, 5})
                           .reshape({images.size(0), rows * columns, 3 * p * p});
  const auto tokens = torch::linear(patches, proj_->weight.flatten(1), proj_->bias);  // [B, N, D]
  return norm_ ? norm_->forward(tokens) : tokens;
}

}  // namespace ibot::nn
