// Cascade of box and mask heads over regions.
#pragma once

#include <torch/nn/pimpl.h>

#include <cstdint>
#include <vector>

#include "ibot/boxes/nms.h"
#include "ibot/detection/detection_options.h"
#include "ibot/detection/region_heads.h"
#include "ibot/detection/truth.h"

namespace ibot::detection {

/// What a stage has seen and said in training, over the R regions of a batch: image by image, of
/// each the P positive ones first.
///
///   regions       [R, 5]               image, x1, y1, x2, y2
///   labels        [R]                  int64; `classes` is background
///   box_targets   [P, 4]               the objects' boxes
///   features      [R, channels, 7, 7]
///   mask_targets  [P, 28, 28]          uint8
///   mask_logits   [P, classes, 28, 28]
///   terms         s{i}_cls, s{i}_box and s{i}_mask, with the stage's weight
///   accuracy      scalar: percentage of regions whose likeliest class is theirs
struct StagePass {
  torch::Tensor regions;
  torch::Tensor labels;
  torch::Tensor box_targets;
  torch::Tensor features;
  BoxResults boxes;
  torch::Tensor mask_targets;
  torch::Tensor mask_logits;
  Terms terms;
  torch::Tensor accuracy;
};

///   least_score  of a detection
///   threshold    of overlap within a class
///   most         detections an image
///   soft         lowers scores instead of removing boxes; `threshold` is then its own
struct PredictionOptions {
  double least_score = 0.05;
  double threshold = 0.5;
  int64_t most = 100;
  std::optional<boxes::SoftNmsOptions> soft;
};

/// Of one image. Boxes of `found` are in pixels of the original image.
///
///   regions      of each stage [R, 5]
///   logits       [R, classes + 1]   mean over the stages
///   differences  [R, 4 classes]     of the last stage
///   masks        [K, 28, 28]        probabilities within the boxes
struct CascadePrediction {
  std::vector<torch::Tensor> regions;
  torch::Tensor logits;
  torch::Tensor differences;
  boxes::Detected found;
  torch::Tensor masks;
};

/// An image of a batch: its size there without padding, and that size over the original one as
/// x, y, x, y.
struct ImageScale {
  int64_t image = 0;
  boxes::ImageSize size;
  torch::Tensor factors;
};

/// Every stage samples regions from what the one before made of them. Names: `bbox_head.{i}`,
/// `mask_head.{i}`.
///
/// Source: Cai & Vasconcelos 2018; mmdetection 2.11, CascadeRoIHead.
class CascadeImpl : public torch::nn::Module {
 public:
  explicit CascadeImpl(const DetectionOptions& options);

  ///   levels     four or five [B, channels, H, W], strides 4, 8, 16, 32
  ///   proposals  [P_i, 4] of each image
  std::vector<StagePass> train_pass(const std::vector<torch::Tensor>& levels,
                                    std::vector<torch::Tensor> proposals,
                                    std::vector<ImageTruth>& truths, const dist::Group& group);

  CascadePrediction predict(const std::vector<torch::Tensor>& levels,
                            const torch::Tensor& proposals, const ImageScale& scale,
                            const PredictionOptions& options);

  void initialize_(at::Generator generator);

 private:
  struct Sampled;
  Sampled sampled(const torch::Tensor& proposals, ImageTruth& truth, const StageOptions& stage);
  StagePass run_stage(size_t stage, const std::vector<torch::Tensor>& levels,
                      const std::vector<Sampled>& samples, const std::vector<ImageTruth>& truths,
                      const dist::Group& group);
  torch::Tensor box_loss(const StagePass& pass, const StageOptions& stage,
                         const torch::Tensor& positive) const;
  std::vector<torch::Tensor> refined(const StagePass& pass, const StageOptions& stage,
                                     const std::vector<Sampled>& samples,
                                     const std::vector<ImageTruth>& truths) const;
  torch::Tensor mask_probabilities(const std::vector<torch::Tensor>& levels,
                                   const torch::Tensor& regions, const torch::Tensor& labels);

  DetectionOptions options_;
  std::vector<BoxHead> box_heads_;
  std::vector<MaskHead> mask_heads_;
};
TORCH_MODULE(Cascade);

}  // namespace ibot::detection
