#include "ibot/detection/pyramid.h"

#include "detection/layers.h"
#include "ibot/base/error.h"

namespace ibot::detection {

FeaturePyramidImpl::FeaturePyramidImpl(const std::array<int64_t, 4>& inputs, int64_t channels)
    : laterals_(numbered_convs(*this, "lateral_convs", 4,
                               [&](int64_t i) { return conv(inputs[i], channels, 1); })),
      outputs_(numbered_convs(*this, "fpn_convs", 4,
                              [&](int64_t) { return conv(channels, channels, 3); })) {}

std::vector<torch::Tensor> FeaturePyramidImpl::forward(const std::vector<torch::Tensor>& maps) {
  IBOT_CHECK(maps.size() == laterals_.size(), "feature pyramid: expected four maps, got ",
             maps.size());
  std::vector<torch::Tensor> levels;
  for (size_t i = 0; i < maps.size(); ++i) levels.push_back(laterals_[i]->forward(maps[i]));
  // From the deepest up, so that each level receives the sum of all deeper ones.
  for (size_t i = levels.size() - 1; i > 0; --i) {
    levels[i - 1] =
        levels[i - 1] + at::upsample_nearest2d(levels[i], levels[i - 1].sizes().slice(2));
  }
  for (size_t i = 0; i < levels.size(); ++i) levels[i] = outputs_[i]->forward(levels[i]);
  // Stride 64: every second cell.
  levels.push_back(at::max_pool2d(levels.back(), 1, 2));
  return levels;
}

void FeaturePyramidImpl::initialize_(at::Generator generator) {
  for (auto* convs : {&laterals_, &outputs_}) {
    for (auto& layer : *convs) init_xavier_(layer->weight, layer->bias, generator);
  }
}

}  // namespace ibot::detection
