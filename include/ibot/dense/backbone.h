// Backbones that give four feature maps, for segmentation and detection.
#pragma once

#include <torch/nn/module.h>

#include <memory>
#include <vector>

#include "ibot/dist/group.h"
#include "ibot/models/backbone_options.h"
#include "ibot/models/weights.h"
#include "ibot/nn/block_context.h"
#include "ibot/nn/pos_embed.h"

namespace ibot::dense {

/// When a ViT uses its position embeddings unchanged: kSquare, for square images with as many
/// patches (segmentation); kGrid, for images whose rows and columns of patches are the stored ones
/// (detection).
enum class PositionRule { kSquare, kGrid };

///   backbone       architecture; its drop path applies while training
///   taps           blocks of a ViT, from 0, whose outputs are read; empty: default_taps()
///   out_with_norm  pass each of them through one final LayerNorm of a ViT; false: it has none
///   pyramid        bring the outputs of a ViT to strides 4, 8, 16 and 32; false: all keep the
///                  stride of the patches
///   frozen         keep the pre-trained part in evaluation mode and without gradients
///   positions      grid of a ViT's position embeddings; {0, 0}: the square of backbone.image_size
struct DenseOptions {
  models::BackboneOptions backbone;
  std::vector<int64_t> taps;
  bool out_with_norm = true;
  bool pyramid = true;
  bool frozen = false;
  PositionRule position_rule = PositionRule::kSquare;
  nn::PositionGrid positions;
};

/// Blocks after a third, half and two thirds of the depth, and the last: 3, 5, 7, 11 of 12 and
/// 7, 11, 15, 23 of 24.
std::vector<int64_t> default_taps(int64_t depth);

/// A backbone with four feature maps. Names of parameters are those of the reference's wrappers,
/// without `backbone.`.
class DenseBackbone : public torch::nn::Module {
 public:
  explicit DenseBackbone(bool frozen) : frozen_(frozen) {}

  /// Feature maps, finest first: map i is [B, embed_dims()[i], H_i, W_i].
  ///
  ///   images  [B, 3, H, W]   of any size from one patch on
  virtual std::vector<torch::Tensor> forward(const torch::Tensor& images) = 0;

  /// Channels of each map.
  virtual std::vector<int64_t> embed_dims() const = 0;

  /// Grid of the position embeddings; {0, 0} without such.
  virtual nn::PositionGrid position_grid() const { return {}; }

  /// Sets how blocks run from now on; affects training mode only.
  void set_context(nn::BlockContext context) { context_ = std::move(context); }
  /// The ranks over which batch normalization takes its statistics.
  void set_group(dist::Group group) { group_ = std::move(group); }

  /// Leaves the pre-trained part of a frozen backbone in evaluation mode.
  void train(bool on = true) override;

 protected:
  /// The parts that pre-training has.
  virtual std::vector<std::shared_ptr<torch::nn::Module>> pretrained() const = 0;

  /// Takes their gradients away if the backbone is frozen; for the end of a constructor.
  void freeze();

  bool frozen() const { return frozen_; }
  const nn::BlockContext& context() const { return context_; }
  const dist::Group& group() const { return group_; }

 private:
  bool frozen_;
  nn::BlockContext context_;
  dist::Group group_;
};

/// Throws ConfigError on options that the architecture does not support.
std::shared_ptr<DenseBackbone> build_backbone(const DenseOptions& options);

/// Draws all initial values: those of pre-training, and for the pyramid uniform in ±1/sqrt(fan_in).
void initialize_(DenseBackbone& backbone, at::Generator generator);

/// Loads the pre-trained part; position embeddings are resized to the backbone's grid. The report
/// names the parts that pre-training lacks (pyramid, norms of outputs) as missing. Throws as
/// models::load_weights_.
models::LoadReport load_weights_(DenseBackbone& backbone, const models::Weights& weights);

}  // namespace ibot::dense
