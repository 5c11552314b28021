// Heads that look at one region of an image.
#pragma once

#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <vector>

#include "ibot/dist/group.h"
#include "ibot/segmentation/heads.h"

namespace ibot::detection {

///   scores       [R, classes + 1]   logits, the last one of background
///   differences  [R, 4 classes]
struct BoxResults {
  torch::Tensor scores;
  torch::Tensor differences;
};

/// Four convolutions with batch normalization over all ranks and a fully connected layer. Names:
/// `shared_convs.{0..3}`, `shared_fcs.0`, `fc_cls`, `fc_reg`.
///
/// Source: mmdetection 2.11, ConvFCBBoxHead as the reference's configurations have it.
class BoxHeadImpl : public torch::nn::Module {
 public:
  BoxHeadImpl(int64_t channels, int64_t hidden, int64_t classes);

  ///   features  [R, channels, 7, 7]
  BoxResults forward(const torch::Tensor& features, const dist::Group& group);
  void initialize_(at::Generator generator);

 private:
  std::vector<segmentation::ConvNorm> convs_;
  torch::nn::Linear hidden_{nullptr};
  torch::nn::Linear scores_{nullptr};
  torch::nn::Linear differences_{nullptr};
};
TORCH_MODULE(BoxHead);

/// Four convolutions, twice the size, a mask for every class. Names: `convs.{0..3}.conv`,
/// `upsample`, `conv_logits`.
///
/// Source: He et al. 2017; mmdetection 2.11, FCNMaskHead.
class MaskHeadImpl : public torch::nn::Module {
 public:
  MaskHeadImpl(int64_t channels, int64_t classes);

  ///   features  [R, channels, 14, 14]
  ///   returns   [R, classes, 28, 28]   logits
  torch::Tensor forward(const torch::Tensor& features);
  void initialize_(at::Generator generator);

 private:
  std::vector<torch::nn::Conv2d> convs_;
  torch::nn::ConvTranspose2d upsample_{nullptr};
  torch::nn::Conv2d logits_{nullptr};
};
TORCH_MODULE(MaskHead);

}  // namespace ibot::detection
