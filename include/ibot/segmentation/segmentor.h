// A network that labels every pixel.
#pragma once

#include <memory>
#include <vector>

#include "ibot/dense/backbone.h"
#include "ibot/segmentation/heads.h"
#include "ibot/segmentation/segmentor_options.h"

namespace ibot::segmentation {

///   backbone            as dense::build_backbone has it; for the linear head without pyramid and
///                       frozen
///   channels            within UPerNet; 0: the width of a ViT, 512 on Swin
///   auxiliary_weight    of the auxiliary head's loss on the third feature; 0: no such head
struct SegmentorOptions {
  dense::DenseOptions backbone;
  HeadKind head = HeadKind::kUper;
  int64_t classes = 150;
  int64_t channels = 0;
  int64_t auxiliary_channels = 256;
  double auxiliary_weight = 0.4;
  double dropout = 0.1;
};

/// Scalars of one batch, on its device.
///
///   total      of both losses, weighted
///   decode     loss of the head
///   auxiliary  loss of the auxiliary head; undefined without one
///   correct    share of all pixels, ignored ones counted as wrong
struct SegmentationLoss {
  torch::Tensor total;
  torch::Tensor decode;
  torch::Tensor auxiliary;
  torch::Tensor correct;
};

/// A backbone with a head, and while it trains an auxiliary head. Names of parameters are those of
/// mmsegmentation: `backbone`, `decode_head`, `auxiliary_head`.
class Segmentor : public torch::nn::Module {
 public:
  explicit Segmentor(const SegmentorOptions& options);

  /// Logits at the size of the images: [B, classes, H, W], float32.
  ///
  ///   images  [B, 3, H, W]   normalized
  torch::Tensor forward(const torch::Tensor& images);

  /// The losses of a batch.
  ///
  ///   images  [B, 3, H, W]   normalized
  ///   labels  [B, H, W]      uint8 or int64, 255: ignored
  SegmentationLoss losses(const torch::Tensor& images, const torch::Tensor& labels);

  dense::DenseBackbone& backbone() { return *backbone_; }
  const SegmentorOptions& options() const { return options_; }
  void set_context(const nn::BlockContext& context);
  void set_group(const dist::Group& group);

 private:
  SegmentorOptions options_;
  std::shared_ptr<dense::DenseBackbone> backbone_;
  std::shared_ptr<SegmentationHead> head_;
  std::shared_ptr<AuxiliaryHead> auxiliary_;
};

/// Draws all initial values of backbone and heads: convolutions of the heads normal with the
/// deviation of their fan-out (He et al. 2015), classifiers normal with 0.01.
void initialize_(Segmentor& segmentor, at::Generator generator);

}  // namespace ibot::segmentation
