// The vision transformer as a dense backbone.
#pragma once

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>

#include "ibot/dense/backbone.h"
#include "ibot/models/vision_transformer.h"

namespace ibot::dense {

/// Outputs of four blocks of a ViT as maps, brought to strides 4, 8, 16 and 32 by transposed
/// convolutions and pooling. Positions are interpolated for images of other sizes.
///
/// Source: reference `evaluation/semantic_segmentation/mmcv_custom` and `backbone/vit.py`,
/// `evaluation/object_detection/mmdet/models/backbones/vit.py`.
class VitPyramid final : public DenseBackbone {
 public:
  VitPyramid(const DenseOptions& options, const models::VitShape& shape);

  std::vector<torch::Tensor> forward(const torch::Tensor& images) override;
  std::vector<int64_t> embed_dims() const override;
  nn::PositionGrid position_grid() const override { return stored_; }

  /// Position embeddings, the class token's first, of an image of that size: [1, 1 + N, D].
  torch::Tensor positions(int64_t height, int64_t width) const;

 protected:
  std::vector<std::shared_ptr<torch::nn::Module>> pretrained() const override;

 private:
  void add_blocks(const models::BackboneOptions& options);
  void add_pyramid();
  torch::Tensor embed(const torch::Tensor& images);
  /// Outputs of the tapped blocks, [B, D, rows, columns] each.
  std::vector<torch::Tensor> tapped(const torch::Tensor& images);

  models::VitShape shape_;
  int64_t patch_size_;
  int64_t registers_;
  std::vector<int64_t> taps_;
  bool has_pyramid_;
  PositionRule position_rule_;
  nn::PositionGrid stored_;
  torch::Tensor cls_token_;
  torch::Tensor pos_embed_;
  torch::Tensor register_tokens_;
  nn::PatchEmbed patch_embed_{nullptr};
  std::vector<nn::Block> blocks_;
  torch::nn::LayerNorm norm_{nullptr};
  torch::nn::ConvTranspose2d enlarge_{nullptr};         // fpn1.0
  torch::nn::BatchNorm2d enlarged_norm_{nullptr};       // fpn1.1
  torch::nn::ConvTranspose2d enlarge_twice_{nullptr};   // fpn1.3
  torch::nn::ConvTranspose2d enlarge_second_{nullptr};  // fpn2.0
};

}  // namespace ibot::dense
