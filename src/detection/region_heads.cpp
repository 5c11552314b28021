#include "ibot/detection/region_heads.h"

#include "detection/layers.h"

namespace ibot::detection {
namespace {

constexpr int64_t kConvs = 4;
constexpr int64_t kBoxSide = 7;
// Initial values as in mmdetection.
constexpr double kScoreDeviation = 0.01;
constexpr double kDifferenceDeviation = 0.001;

}  // namespace

BoxHeadImpl::BoxHeadImpl(int64_t channels, int64_t hidden, int64_t classes) {
  const auto list = register_module("shared_convs", std::make_shared<torch::nn::Module>());
  for (int64_t i = 0; i < kConvs; ++i) {
    convs_.push_back(
        list->register_module(std::to_string(i), segmentation::ConvNorm(channels, channels, 3)));
  }
  const auto fully = register_module("shared_fcs", std::make_shared<torch::nn::Module>());
  // Reads cells in the order channel, row, column.
  hidden_ = fully->register_module("0", torch::nn::Linear(channels * kBoxSide * kBoxSide, hidden));
  scores_ = register_module("fc_cls", torch::nn::Linear(hidden, classes + 1));
  differences_ = register_module("fc_reg", torch::nn::Linear(hidden, 4 * classes));
}

BoxResults BoxHeadImpl::forward(const torch::Tensor& features, const dist::Group& group) {
  auto maps = features;
  for (auto& layer : convs_) maps = layer->forward(maps, group);
  const auto hidden = hidden_->forward(maps.flatten(1)).relu();  // [R, hidden]
  // Softmax, decoding and losses are in float32 under autocast, too.
  return {scores_->forward(hidden).to(torch::kFloat),
          differences_->forward(hidden).to(torch::kFloat)};
}

void BoxHeadImpl::initialize_(at::Generator generator) {
  torch::Tensor none;
  for (auto& layer : convs_) {
    for (auto& parameter : layer->named_parameters()) {
      // Weights of convolutions; those of batch normalization start at 1 and 0.
      if (parameter.value().dim() == 4) init_kaiming_(parameter.value(), none, generator);
    }
  }
  init_xavier_(hidden_->weight, hidden_->bias, generator);
  init_normal_(scores_->weight, scores_->bias, kScoreDeviation, generator);
  init_normal_(differences_->weight, differences_->bias, kDifferenceDeviation, generator);
}

MaskHeadImpl::MaskHeadImpl(int64_t channels, int64_t classes)
    : convs_(numbered_convs(*this, "convs", kConvs,
                            [&](int64_t) { return conv(channels, channels, 3); })),
      upsample_(register_module(
          "upsample", torch::nn::ConvTranspose2d(
                          torch::nn::ConvTranspose2dOptions(channels, channels, 2).stride(2)))),
      logits_(register_module("conv_logits", conv(channels, classes, 1))) {}

torch::Tensor MaskHeadImpl::forward(const torch::Tensor& features) {
  auto maps = features;
  for (auto& layer : convs_) maps = layer->forward(maps).relu();
  maps = upsample_->forward(maps).relu();  // [R, channels, 28, 28]
  return logits_->forward(maps).to(torch::kFloat);
}

void MaskHeadImpl::initialize_(at::Generator generator) {
  for (auto& layer : convs_) init_kaiming_(layer->weight, layer->bias, generator);
  init_kaiming_(upsample_->weight, upsample_->bias, generator);
  init_kaiming_(logits_->weight, logits_->bias, generator);
}

}  // namespace ibot::detection
