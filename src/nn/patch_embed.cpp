#include "ibot/nn/patch_embed.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "ibot/base/error.h"
#include "ibot/nn/autocast_scope.h"
#include "nn/lean.h"

namespace ibot::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Images as whole patches, and back.
struct PatchOrder {
  int64_t size;

  int64_t count(int64_t pixels) const { return pixels / size; }

  /// [B, 3, H, W] → [B, N, 3·P·P]
  torch::Tensor patches(const torch::Tensor& images) const {
    const auto rows = count(images.size(2)), columns = count(images.size(3));
    // A convolution, too, would leave out the pixels beyond the last whole patch.
    return images.narrow(2, 0, rows * size)
        .narrow(3, 0, columns * size)
        .reshape({images.size(0), 3, rows, size, columns, size})
        .permute({0, 2, 4, 1, 3, 5})
        .reshape({images.size(0), rows * columns, 3 * size * size});
  }

  /// [B, N, 3·P·P] → [B, 3, height, width], zero beyond the last whole patch
  torch::Tensor images(const torch::Tensor& patches, int64_t height, int64_t width) const {
    const auto rows = count(height), columns = count(width);
    const auto whole = patches.reshape({patches.size(0), rows, columns, 3, size, size})
                           .permute({0, 3, 1, 4, 2, 5})
                           .reshape({patches.size(0), 3, rows * size, columns * size});
    return torch::constant_pad_nd(whole, {0, width - columns * size, 0, height - rows * size});
  }
};

/// linear(patches(images)) that keeps the images, which the batch holds anyway.
struct PatchLinear : torch::autograd::Function<PatchLinear> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& images,
                               const torch::Tensor& weight, const torch::Tensor& bias,
                               int64_t size) {
    const AutocastScope as_given(images.device().type(), std::nullopt);
    context->save_for_backward({images, weight});
    context->saved_data["size"] = size;
    return torch::linear(PatchOrder{size}.patches(images.to(weight.scalar_type())), weight, bias);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    refuse_second_derivatives();
    const auto saved = context->get_saved_variables();
    const auto &images = saved[0], &weight = saved[1];
    const PatchOrder order{context->saved_data["size"].toInt()};
    const auto rows = gradients[0].flatten(0, 1);  // [B·N, D]
    const auto patches = order.patches(images.to(weight.scalar_type())).flatten(0, 1);
    torch::Tensor of_images;
    if (context->needs_input_grad(0)) {
      const auto of_patches = rows.mm(weight).view({images.size(0), -1, weight.size(1)});
      of_images = order.images(of_patches, images.size(2), images.size(3));
    }
    return {of_images, rows.t().mm(patches), rows.sum(0), torch::Tensor()};
  }
};

}  // namespace

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
  IBOT_CHECK(std::min(images.size(2), images.size(3)) >= patch_size_,
             "patch embedding: expected images of at least one patch of ", patch_size_,
             " pixels, got ", images.sizes());
  const auto affine = in_force(proj_->weight.flatten(1), proj_->bias);
  const auto tokens =
      PatchLinear::apply(images, affine.weight, *affine.bias, patch_size_);  // [B, N, D]
  return norm_ ? norm_->forward(tokens) : tokens;
}

}  // namespace ibot::nn
