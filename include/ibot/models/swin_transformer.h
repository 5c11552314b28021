// The Swin transformer.
#pragma once

#include <functional>
#include <vector>

#include "ibot/models/backbone.h"
#include "ibot/nn/patch_embed.h"
#include "ibot/nn/swin_block.h"

namespace ibot::models {

/// One stage of a Swin transformer. Only every second block is shifted by `shift`. Window and shift
/// follow from the map size at `image_size`, whatever the size of later images: a map no larger
/// than the window is one window, without shift.
struct SwinStage {
  int64_t width = 0;
  int64_t depth = 0;
  int64_t heads = 0;
  int64_t window = 0;
  int64_t shift = 0;

  bool operator==(const SwinStage&) const = default;
};

using SwinShape = std::vector<SwinStage>;

/// The shape of `options.arch`, a Swin transformer, with the overrides of `options`. Throws
/// OptionError on another architecture, on options that Swin lacks, on lists of different lengths,
/// on heads that do not divide the width of their stage, and on an image size that leaves the last
/// stage without a token.
SwinShape swin_shape(const BackboneOptions& options);

/// Blocks of one map size and, except in the last stage, patch merging.
struct SwinStageImpl : torch::nn::Module {
  std::vector<nn::SwinBlock> blocks;
  nn::PatchMerging downsample{nullptr};
};

/// Attention within windows, shifted in every second block, in stages that halve the map and double
/// the width. The class token is the mean of the normalized patch tokens. The student's mask token
/// replaces masked patches after the norm of the patch embedding.
///
/// Images must be square; patch tokens are those of the last stage. A mask is a square grid of
/// cells that cover equal numbers of patches: the grid of grid(), or a finer one.
///
/// Source: Liu et al. 2021; names and details of the reference's `swin_transformer.py`.
class SwinTransformer : public Backbone {
 public:
  SwinTransformer(const BackboneOptions& options, const SwinShape& shape, Role role);

  BackboneOutput forward(const torch::Tensor& images, const torch::Tensor& mask = {}) override;
  std::vector<BackboneOutput> intermediate(const torch::Tensor& images, int64_t count) override;
  torch::Tensor last_attention(const torch::Tensor& images) override;
  int64_t embed_dim() const override { return shape_.back().width; }
  mask::PatchGrid grid(int64_t height, int64_t width) const override;
  void set_context(nn::BlockContext context) override;

  /// Softmax attention of every block, in the layout of last_attention().
  std::vector<torch::Tensor> attentions(const torch::Tensor& images);

 private:
  /// Receives a block, its index over all stages, and the tokens before and after it.
  using Observe = std::function<void(int64_t number, nn::SwinBlock& block,
                                     const torch::Tensor& before, const torch::Tensor& after)>;

  void add_stage(torch::nn::Module& layers, size_t stage, const BackboneOptions& options,
                 const double* drop_path);
  int64_t count_blocks() const;
  torch::Tensor embed(const torch::Tensor& images, const torch::Tensor& mask);
  torch::Tensor run_stages(torch::Tensor tokens, const Observe& observe = {});

  SwinShape shape_;
  int64_t patch_size_;
  nn::BlockContext context_;
  torch::Tensor masked_embed_;
  nn::PatchEmbed patch_embed_{nullptr};
  std::vector<std::shared_ptr<SwinStageImpl>> stages_;
  torch::nn::LayerNorm norm_{nullptr};
};

}  // namespace ibot::models
