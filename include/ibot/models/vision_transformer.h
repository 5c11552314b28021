// The vision transformer.
#pragma once

#include "ibot/models/backbone.h"
#include "ibot/nn/block.h"
#include "ibot/nn/patch_embed.h"

namespace ibot::models {

/// Shape of a vision transformer.
struct VitShape {
  int64_t embed_dim = 0;
  int64_t depth = 0;
  int64_t heads = 0;

  bool operator==(const VitShape&) const = default;
};

/// The shape of `options.arch`, a ViT, with the overrides of `options`. Throws OptionError on
/// another architecture, on lists of more than one number, and on heads that do not divide the
/// width.
VitShape vit_shape(const BackboneOptions& options);

/// ViT with a class token, learned position embeddings and, in the student, a mask token that
/// replaces masked patches before positions are added. Register tokens are inserted after the class
/// token once positions have been added; they have no positions and are part of no output.
///
/// Source: Dosovitskiy et al. 2021; names and details of the reference's `vision_transformer.py`.
/// Registers: Darcet et al. 2024; names and details of DINOv2's `vision_transformer.py`.
class VisionTransformer : public Backbone {
 public:
  VisionTransformer(const BackboneOptions& options, const VitShape& shape, Role role);

  BackboneOutput forward(const torch::Tensor& images, const torch::Tensor& mask = {}) override;
  SelectedTokens forward_selected(const torch::Tensor& images, const torch::Tensor& mask,
                                  const torch::Tensor& selected) override;
  std::vector<BackboneOutput> intermediate(const torch::Tensor& images, int64_t count) override;
  torch::Tensor mean_patch_token(const torch::Tensor& images) override;
  torch::Tensor last_attention(const torch::Tensor& images) override;
  AttendedPatches attended_patches(const torch::Tensor& images) override;
  int64_t embed_dim() const override { return shape_.embed_dim; }
  mask::PatchGrid grid(int64_t height, int64_t width) const override;
  void set_context(nn::BlockContext context) override;

  /// Input of the first block: masked patch tokens with class token, positions and registers,
  /// [B, 1 + R + N, D].
  torch::Tensor embed(const torch::Tensor& images, const torch::Tensor& mask = {});

 private:
  torch::Tensor run_blocks(torch::Tensor tokens, size_t count);
  BackboneOutput finish(const torch::Tensor& tokens);
  /// [B, 1 + R + N, D] → [B, N, D]
  torch::Tensor patches_of(const torch::Tensor& tokens) const;

  BackboneOptions options_;
  VitShape shape_;
  nn::BlockContext context_;
  torch::Tensor cls_token_;
  torch::Tensor pos_embed_;
  torch::Tensor masked_embed_;
  torch::Tensor register_tokens_;
  nn::PatchEmbed patch_embed_{nullptr};
  std::vector<nn::Block> blocks_;
  torch::nn::LayerNorm norm_{nullptr};
  torch::nn::LayerNorm fc_norm_{nullptr};
};

}  // namespace ibot::models
