// The projection head, from tokens to prototype scores.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include <vector>

#include "ibot/dist/group.h"
#include "ibot/models/head_options.h"

namespace ibot::models {

/// Bias-free linear layer whose weight row k is g_k · v_k / |v_k|.
/// Source: Salimans & Kingma 2016; the reference's weight_norm'ed `last_layer`.
class PrototypesImpl : public torch::nn::Module {
 public:
  /// g starts at 1 and is trainable if `learn_norm`.
  PrototypesImpl(int64_t width, int64_t count, bool learn_norm);
  /// [..., width] → [..., count]
  torch::Tensor forward(const torch::Tensor& features);

 private:
  torch::Tensor weight_g_;
  torch::Tensor weight_v_;
};
TORCH_MODULE(Prototypes);

/// An MLP with an L2-normalized bottleneck, shared by class and patch tokens, followed by linear
/// prototype layers, one for both or one each. Trunk and scores are separate calls: everything
/// after the trunk is linear, so mean scores equal the scores of mean features.
///
/// Source: paper section 3.2; reference `models/head.py` (iBOTHead).
class ProjectionHeadImpl : public torch::nn::Module {
 public:
  /// `shared`: one prototype layer for class and patch tokens. `learn_norm`: trainable norms.
  ProjectionHeadImpl(const HeadOptions& options, int64_t embed_dim, bool shared, bool learn_norm);

  /// tokens [..., D] → features [..., F], F = bottleneck_dim, or hidden_dim without a bottleneck.
  torch::Tensor trunk(const torch::Tensor& tokens);
  /// features [..., F] → [..., prototypes]
  torch::Tensor class_logits(const torch::Tensor& features);
  /// features [..., F] → [..., patch_prototypes], or prototypes if shared
  torch::Tensor patch_logits(const torch::Tensor& features);

  /// Sets the ranks over which batch norm computes statistics; initially one rank alone.
  void set_group(dist::Group group) { group_ = std::move(group); }
  /// Whether the trunk's output for one token depends on other tokens (batch norm).
  bool mixes_tokens() const;
  /// Output dimension of patch_logits().
  int64_t patch_prototypes() const { return patch_prototypes_; }
  bool shared() const { return shared_; }

 private:
  torch::Tensor normalize(const torch::Tensor& hidden);
  torch::Tensor activate(const torch::Tensor& hidden) const;
  /// Linear layer `index` of the MLP; `input` is what the layer before gave, not yet activated.
  torch::Tensor layer(size_t index, const torch::Tensor& input);

  HeadOptions options_;
  dist::Group group_;
  bool shared_;
  int64_t patch_prototypes_;
  std::vector<torch::nn::Linear> linears_;
  torch::nn::BatchNorm1d batch_norm_{nullptr};
  torch::nn::LayerNorm layer_norm_{nullptr};
  Prototypes last_layer_{nullptr};
  Prototypes last_layer2_{nullptr};
  torch::nn::Linear mlp2_{nullptr};
};
TORCH_MODULE(ProjectionHead);

}  // namespace ibot::models
