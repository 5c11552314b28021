// The Swin transformer as a dense backbone.
#pragma once

#include "ibot/dense/backbone.h"
#include "ibot/models/swin_transformer.h"

namespace ibot::dense {

/// Outputs of the four stages before merging, each through a LayerNorm of its own: strides 4, 8, 16
/// and 32. Every map is cut into the same windows, padded where it is smaller; images are padded to
/// whole patches. Every LayerNorm has epsilon 1e-5.
///
/// Source: Liu et al. 2021; Swin-Transformer-Object-Detection, `swin_transformer.py`.
class SwinPyramid final : public DenseBackbone {
 public:
  SwinPyramid(const DenseOptions& options, const models::SwinShape& shape);

  std::vector<torch::Tensor> forward(const torch::Tensor& images) override;
  std::vector<int64_t> embed_dims() const override;

 protected:
  std::vector<std::shared_ptr<torch::nn::Module>> pretrained() const override;

 private:
  void add_stages(const models::BackboneOptions& options);

  models::SwinShape shape_;
  int64_t patch_size_;
  nn::PatchEmbed patch_embed_{nullptr};
  std::shared_ptr<torch::nn::Module> layers_;
  std::vector<std::shared_ptr<models::SwinStageImpl>> stages_;
  std::vector<torch::nn::LayerNorm> norms_;
};

}  // namespace ibot::dense
