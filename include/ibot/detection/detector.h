// A detector: backbone, feature pyramid, proposals and cascade.
#pragma once

#include <torch/nn/pimpl.h>

#include <memory>
#include <vector>

#include "ibot/dense/backbone.h"
#include "ibot/detection/cascade.h"
#include "ibot/detection/proposals.h"
#include "ibot/detection/pyramid.h"

namespace ibot::detection {

/// Everything between a batch and its loss.
struct TrainPass {
  ProposalMaps maps;
  std::vector<AnchorTargets> targets;
  std::vector<Proposals> proposals;
  Terms proposal_terms;
  std::vector<StagePass> stages;

  /// All terms of the loss, by name; the loss is their sum.
  Terms terms() const;
};

/// Cascade Mask R-CNN. Parameters have mmdetection's names: `backbone.…`, `neck.…`, `rpn_head.…`,
/// `roi_head.bbox_head.{i}.…`, `roi_head.mask_head.{i}.…`.
///
/// Source: reference `evaluation/object_detection`; mmdetection 2.11, CascadeRCNN.
class DetectorImpl : public torch::nn::Module {
 public:
  /// `options.inputs` are taken from the backbone.
  DetectorImpl(const dense::DenseOptions& backbone, DetectionOptions options);

  /// The five levels of the pyramid.
  ///
  ///   images  [B, 3, H, W]  normalized and padded
  std::vector<torch::Tensor> levels(const torch::Tensor& images);

  /// `padded` is the size of the images of the levels.
  TrainPass train_pass(const std::vector<torch::Tensor>& levels, std::vector<ImageTruth>& truths,
                       boxes::ImageSize padded);

  /// Of the image scale.image of the batch.
  CascadePrediction predict(const std::vector<torch::Tensor>& levels, const ImageScale& scale,
                            const PredictionOptions& options);
  Proposals propose(const std::vector<torch::Tensor>& levels, const ImageScale& scale);

  /// Draws all initial values, those of the backbone too.
  void initialize_(at::Generator generator);

  dense::DenseBackbone& backbone() { return *backbone_; }
  const DetectionOptions& options() const { return options_; }
  /// The ranks whose regions are normalized together.
  void set_group(const dist::Group& group);

 private:
  DetectionOptions options_;
  dist::Group group_;
  std::shared_ptr<dense::DenseBackbone> backbone_;
  FeaturePyramid neck_{nullptr};
  ProposalHead proposal_head_{nullptr};
  Cascade cascade_{nullptr};
};
TORCH_MODULE(Detector);

}  // namespace ibot::detection
