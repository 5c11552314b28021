// Heads that label every pixel.
#pragma once

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <vector>

#include "ibot/dist/group.h"
#include "ibot/nn/block_context.h"

namespace ibot::segmentation {

/// Convolution without bias, batch normalization over all ranks, ReLU; names `conv`, `bn`.
class ConvNormImpl : public torch::nn::Module {
 public:
  /// `kernel` 1 or 3; maps keep their size.
  ConvNormImpl(int64_t inputs, int64_t outputs, int64_t kernel);

  ///   maps     [B, inputs, H, W]
  ///   returns  [B, outputs, H, W]
  torch::Tensor forward(const torch::Tensor& maps, const dist::Group& group);

 private:
  torch::nn::Conv2d conv_{nullptr};
  torch::nn::BatchNorm2d norm_{nullptr};
};
TORCH_MODULE(ConvNorm);

/// What heads share: the group of ranks, dropout of whole channels before the classifier, and the
/// classifier, `conv_seg`, a 1x1 convolution with bias.
class SegmentationHead : public torch::nn::Module {
 public:
  SegmentationHead(int64_t channels, int64_t classes, double dropout);

  /// Logits at the stride of the head's largest input: [B, classes, H, W].
  ///
  ///   features  [B, D, H_i, W_i] each, in the order of their strides
  virtual torch::Tensor forward(const std::vector<torch::Tensor>& features) = 0;

  void set_group(dist::Group group) { group_ = std::move(group); }
  /// Where dropout draws from.
  void set_context(nn::BlockContext context) { context_ = std::move(context); }

 protected:
  torch::Tensor classified(const torch::Tensor& maps);
  const dist::Group& group() const { return group_; }

 private:
  double dropout_;
  dist::Group group_;
  nn::BlockContext context_;
  torch::nn::Conv2d classifier_{nullptr};
};

///   inputs       channels of each of the four feature maps
///   channels     within the head
///   pool_scales  sides of the pooled maps of the last feature
///   dropout      of channels
struct UperOptions {
  std::vector<int64_t> inputs{384, 384, 384, 384};
  int64_t channels = 384;
  int64_t classes = 150;
  std::vector<int64_t> pool_scales{1, 2, 3, 6};
  double dropout = 0.1;
};

/// UPerNet: a pooling pyramid on the last of four features, a feature pyramid from there to the
/// first, all of it fused at the first one's size. Parameter names are those of mmsegmentation.
///
/// Source: Xiao et al. 2018; mmsegmentation 0.12, UPerHead.
class UperHead final : public SegmentationHead {
 public:
  explicit UperHead(const UperOptions& options);
  torch::Tensor forward(const std::vector<torch::Tensor>& features) override;

 private:
  /// The last feature beside its pooled versions, mixed: [B, channels, H, W].
  torch::Tensor pooled(const torch::Tensor& last);

  std::vector<int64_t> pool_scales_;
  std::vector<ConvNorm> pool_branches_;
  ConvNorm bottleneck_{nullptr};
  std::vector<ConvNorm> laterals_;
  std::vector<ConvNorm> outputs_;
  ConvNorm fusion_{nullptr};
};

///   feature  which of the features it reads
struct AuxiliaryOptions {
  int64_t inputs = 384;
  int64_t channels = 256;
  int64_t classes = 150;
  int64_t feature = 2;
  double dropout = 0.1;
};

/// A 3x3 convolution and the classifier on one feature, for training alone.
///
/// Source: mmsegmentation 0.12, FCNHead.
class AuxiliaryHead final : public SegmentationHead {
 public:
  explicit AuxiliaryHead(const AuxiliaryOptions& options);
  torch::Tensor forward(const std::vector<torch::Tensor>& features) override;

 private:
  int64_t feature_;
  ConvNorm conv_{nullptr};
};

/// The classifier alone, on features beside each other at the first one's size: [B, inputs in all,
/// H, W].
///
/// Source: the reference's linear head for segmentation.
class LinearHead final : public SegmentationHead {
 public:
  LinearHead(int64_t inputs, int64_t classes) : SegmentationHead(inputs, classes, 0) {}
  torch::Tensor forward(const std::vector<torch::Tensor>& features) override;
};

/// Maps bilinearly resized to height and width, corners not aligned.
torch::Tensor resized(const torch::Tensor& maps, at::IntArrayRef size);

}  // namespace ibot::segmentation
