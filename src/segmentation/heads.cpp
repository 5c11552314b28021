#include "ibot/segmentation/heads.h"

#include <string>

#include "ibot/base/error.h"
#include "ibot/nn/batch_norm.h"
#include "ibot/nn/drop_path.h"

namespace ibot::segmentation {
namespace {

torch::nn::Conv2d conv(int64_t inputs, int64_t outputs, int64_t kernel, bool bias) {
  return torch::nn::Conv2d(
      torch::nn::Conv2dOptions(inputs, outputs, kernel).padding(kernel / 2).bias(bias));
}

/// Registers as many blocks as made under `name`.0, `name`.1, …
template <class Make>
std::vector<ConvNorm> numbered(torch::nn::Module& owner, const std::string& name, int64_t count,
                               const Make& make) {
  const auto list = owner.register_module(name, std::make_shared<torch::nn::Module>());
  std::vector<ConvNorm> blocks;
  for (int64_t i = 0; i < count; ++i) {
    blocks.push_back(list->register_module(std::to_string(i), make(i)));
  }
  return blocks;
}

void check_features(const std::vector<torch::Tensor>& features, size_t count) {
  IBOT_CHECK(features.size() == count, "segmentation head: expected ", count, " features, got ",
             features.size());
}

}  // namespace

ConvNormImpl::ConvNormImpl(int64_t inputs, int64_t outputs, int64_t kernel)
    : conv_(register_module("conv", conv(inputs, outputs, kernel, /*bias=*/false))),
      norm_(register_module("bn", torch::nn::BatchNorm2d(outputs))) {}

torch::Tensor ConvNormImpl::forward(const torch::Tensor& maps, const dist::Group& group) {
  return nn::batch_norm(*norm_, conv_->forward(maps), group).relu_();
}

SegmentationHead::SegmentationHead(int64_t channels, int64_t classes, double dropout)
    : dropout_(dropout),
      classifier_(register_module("conv_seg", conv(channels, classes, 1, true))) {}

torch::Tensor SegmentationHead::classified(const torch::Tensor& maps) {
  if (!is_training()) return classifier_->forward(maps);
  if (dropout_ == 0) return classifier_->forward(maps);
  // A channel is drawn for as a crop is, so that the draws are those of the whole batch.
  const auto scale =
      nn::drop_path_scale(maps.size(1) * maps.size(0), dropout_, context_, maps.device())
          .view({maps.size(1), maps.size(0), 1, 1})
          .transpose(0, 1);
  return classifier_->forward(maps * scale.to(maps.dtype()));
}

UperHead::UperHead(const UperOptions& options)
    : SegmentationHead(options.channels, options.classes, options.dropout),
      pool_scales_(options.pool_scales) {
  const auto branches = static_cast<int64_t>(pool_scales_.size());
  const auto block = [&](int64_t inputs, int64_t kernel) {
    return ConvNorm(inputs, options.channels, kernel);
  };
  IBOT_CHECK(options.inputs.size() == 4, "segmentation head: expected channels of 4 features, got ",
             options.inputs.size());
  const auto pyramid = register_module("psp_modules", std::make_shared<torch::nn::Module>());
  for (int64_t i = 0; i < branches; ++i) {
    // The reference's branch is a pooling layer, number 0, and the block, number 1.
    const auto branch =
        pyramid->register_module(std::to_string(i), std::make_shared<torch::nn::Module>());
    pool_branches_.push_back(branch->register_module("1", block(options.inputs.back(), 1)));
  }
  bottleneck_ =
      register_module("bottleneck", block(options.inputs.back() + branches * options.channels, 3));
  laterals_ =
      numbered(*this, "lateral_convs", 3, [&](int64_t i) { return block(options.inputs[i], 1); });
  outputs_ = numbered(*this, "fpn_convs", 3, [&](int64_t) { return block(options.channels, 3); });
  fusion_ = register_module("fpn_bottleneck", block(4 * options.channels, 3));
}

torch::Tensor UperHead::pooled(const torch::Tensor& last) {
  std::vector<torch::Tensor> maps{last};
  for (size_t i = 0; i < pool_branches_.size(); ++i) {
    // To [B, D, s, s], [B, C, s, s], [B, C, h, w].
    const auto small = at::adaptive_avg_pool2d(last, {pool_scales_[i], pool_scales_[i]});
    maps.push_back(resized(pool_branches_[i]->forward(small, group()), last.sizes().slice(2)));
  }
  // [B, D + branches · C, h, w] to [B, C, h, w].
  return bottleneck_->forward(torch::cat(maps, 1), group());
}

torch::Tensor UperHead::forward(const std::vector<torch::Tensor>& features) {
  check_features(features, 4);
  std::vector<torch::Tensor> levels;
  for (size_t i = 0; i < laterals_.size(); ++i) {
    levels.push_back(laterals_[i]->forward(features[i], group()));
  }
  // The deepest map has the pooling pyramid in place of a lateral.
  levels.push_back(pooled(features.back()));
  // From the deepest up: each level receives the sum of all deeper ones.
  for (size_t i = levels.size() - 1; i > 0; --i) {
    levels[i - 1] = levels[i - 1] + resized(levels[i], levels[i - 1].sizes().slice(2));
  }
  std::vector<torch::Tensor> maps;
  for (size_t i = 0; i < levels.size(); ++i) {
    // The pooled map has no output convolution: its bottleneck was one.
    const auto map = i < outputs_.size() ? outputs_[i]->forward(levels[i], group()) : levels[i];
    maps.push_back(resized(map, levels.front().sizes().slice(2)));
  }
  // [B, 4 C, h, w] to [B, classes, h, w], at stride 4.
  return classified(fusion_->forward(torch::cat(maps, 1), group()));
}

AuxiliaryHead::AuxiliaryHead(const AuxiliaryOptions& options)
    : SegmentationHead(options.channels, options.classes, options.dropout),
      feature_(options.feature),
      conv_(numbered(*this, "convs", 1, [&](int64_t) {
              return ConvNorm(options.inputs, options.channels, 3);
            }).front()) {}

torch::Tensor AuxiliaryHead::forward(const std::vector<torch::Tensor>& features) {
  return classified(conv_->forward(features.at(feature_), group()));
}

torch::Tensor LinearHead::forward(const std::vector<torch::Tensor>& features) {
  std::vector<torch::Tensor> maps;
  for (const auto& feature : features) {
    maps.push_back(resized(feature, features.front().sizes().slice(2)));
  }
  return classified(torch::cat(maps, 1));
}

torch::Tensor resized(const torch::Tensor& maps, at::IntArrayRef size) {
  if (maps.sizes().slice(2) == size) return maps;
  return at::upsample_bilinear2d(maps, size, /*align_corners=*/false);
}

}  // namespace ibot::segmentation
