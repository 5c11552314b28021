// Region proposal network.
#pragma once

#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <vector>

#include "ibot/boxes/anchors.h"
#include "ibot/detection/detection_options.h"
#include "ibot/detection/truth.h"

namespace ibot::detection {

/// What the head says of every anchor, level by level.
///
///   objectness   [B, R, H, W]   logits, R anchors a cell
///   differences  [B, 4 R, H, W]
struct ProposalMaps {
  std::vector<torch::Tensor> objectness;
  std::vector<torch::Tensor> differences;
};

/// Which anchors of an image are trained, numbered over all levels.
///
///   positive, negative  ascending int64
///   differences         [positive, 4]  to the object that each stands for
struct AnchorTargets {
  torch::Tensor positive;
  torch::Tensor negative;
  torch::Tensor differences;
};

///   boxes   [P, 4]  float32
///   scores  [P]     descending
struct Proposals {
  torch::Tensor boxes;
  torch::Tensor scores;
};

/// Names: `rpn_conv`, `rpn_cls`, `rpn_reg`.
///
/// Source: Ren et al. 2015; mmdetection 2.11, RPNHead.
class ProposalHeadImpl : public torch::nn::Module {
 public:
  explicit ProposalHeadImpl(const DetectionOptions& options);

  ///   levels  five [B, channels, H, W]
  ProposalMaps forward(const std::vector<torch::Tensor>& levels);

  /// `padded` is the size of the batch's images.
  AnchorTargets targets(const ProposalMaps& maps, ImageTruth& truth, boxes::ImageSize padded) const;

  /// rpn_cls and rpn_box.
  Terms loss(const ProposalMaps& maps, const std::vector<AnchorTargets>& targets,
             const dist::Group& group) const;

  /// Of image `image`; without a gradient.
  Proposals propose(const ProposalMaps& maps, int64_t image, boxes::ImageSize size,
                    const ProposalOptions& options) const;

  /// Weights normal, biases 0.
  void initialize_(at::Generator generator);

 private:
  /// Of each level, on the device of the maps.
  std::vector<torch::Tensor> anchors_of(const ProposalMaps& maps) const;

  DetectionOptions options_;
  boxes::AnchorOptions anchors_;
  torch::nn::Conv2d conv_{nullptr};
  torch::nn::Conv2d objectness_{nullptr};
  torch::nn::Conv2d differences_{nullptr};
};
TORCH_MODULE(ProposalHead);

}  // namespace ibot::detection
