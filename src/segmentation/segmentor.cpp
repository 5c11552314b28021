#include "ibot/segmentation/segmentor.h"

#include <cmath>
#include <numeric>

#include "ibot/segmentation/pixel_loss.h"

namespace ibot::segmentation {
namespace {

/// Width of the head on a backbone whose maps differ in width.
constexpr int64_t kSwinChannels = 512;
constexpr double kClassifierStd = 0.01;
/// The third map, of stride 16.
constexpr int64_t kAuxiliaryFeature = 2;

std::shared_ptr<SegmentationHead> make_head(const SegmentorOptions& options,
                                            const std::vector<int64_t>& widths) {
  if (options.head == HeadKind::kLinear) {
    const auto inputs = std::accumulate(widths.begin(), widths.end(), int64_t{0});
    // All maps side by side: four of width D make 4 D.
    return std::make_shared<LinearHead>(inputs, options.classes);
  }
  const bool of_one_width = widths.front() == widths.back();
  const auto channels = options.channels > 0 ? options.channels
                        : of_one_width       ? widths.front()
                                             : kSwinChannels;
  return std::make_shared<UperHead>(UperOptions{.inputs = widths,
                                                .channels = channels,
                                                .classes = options.classes,
                                                .dropout = options.dropout});
}

void initialize_convolution_(torch::nn::Conv2dImpl& conv, const at::Generator& generator) {
  // Only classifiers have a bias; all others are followed by batch normalization and ReLU.
  const bool classifies = conv.bias.defined();
  const auto fan_out = static_cast<double>(conv.weight.numel() / conv.weight.size(1));
  conv.weight.normal_(0.0, classifies ? kClassifierStd : std::sqrt(2.0 / fan_out), generator);
  if (classifies) conv.bias.zero_();
}

}  // namespace

Segmentor::Segmentor(const SegmentorOptions& options) : options_(options) {
  backbone_ = register_module("backbone", dense::build_backbone(options.backbone));
  const auto widths = backbone_->embed_dims();
  head_ = register_module("decode_head", make_head(options, widths));
  if (options.head == HeadKind::kLinear || options.auxiliary_weight == 0) return;
  auxiliary_ = register_module("auxiliary_head", std::make_shared<AuxiliaryHead>(AuxiliaryOptions{
                                                     .inputs = widths[kAuxiliaryFeature],
                                                     .channels = options.auxiliary_channels,
                                                     .classes = options.classes,
                                                     .feature = kAuxiliaryFeature,
                                                     .dropout = options.dropout}));
}

torch::Tensor Segmentor::forward(const torch::Tensor& images) {
  const auto logits = head_->forward(backbone_->forward(images));
  return resized(logits.to(torch::kFloat), images.sizes().slice(2));
}

SegmentationLoss Segmentor::losses(const torch::Tensor& images, const torch::Tensor& labels) {
  const auto features = backbone_->forward(images);
  const auto decode = pixel_loss(head_->forward(features), labels, {.accuracy = true});
  SegmentationLoss loss{.decode = decode.loss, .correct = decode.correct};
  loss.total = loss.decode;
  if (!auxiliary_) return loss;
  loss.auxiliary =
      options_.auxiliary_weight * pixel_loss(auxiliary_->forward(features), labels).loss;
  loss.total = loss.decode + loss.auxiliary;
  return loss;
}

void Segmentor::set_context(const nn::BlockContext& context) {
  backbone_->set_context(context);
  head_->set_context(context);
  if (auxiliary_) auxiliary_->set_context(context);
}

void Segmentor::set_group(const dist::Group& group) {
  backbone_->set_group(group);
  head_->set_group(group);
  if (auxiliary_) auxiliary_->set_group(group);
}

void initialize_(Segmentor& segmentor, at::Generator generator) {
  const torch::NoGradGuard no_grad;
  dense::initialize_(segmentor.backbone(), generator);
  for (const auto& part : segmentor.named_children()) {
    if (part.key() == "backbone") continue;
    for (auto& layer : part.value()->modules()) {
      auto* conv = layer->as<torch::nn::Conv2dImpl>();
      if (conv != nullptr) initialize_convolution_(*conv, generator);
    }
  }
}

}  // namespace ibot::segmentation
