// Feature pyramid.
#pragma once

#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

#include <array>
#include <cstdint>
#include <vector>

namespace ibot::detection {

/// Four maps of strides 4 to 32 to five of one width, the fifth every second cell of the fourth;
/// deeper maps are enlarged to the nearest cell and added. Names: `lateral_convs.{i}.conv`,
/// `fpn_convs.{i}.conv`.
///
/// Source: Lin et al. 2017; mmdetection 2.11, FPN.
class FeaturePyramidImpl : public torch::nn::Module {
 public:
  FeaturePyramidImpl(const std::array<int64_t, 4>& inputs, int64_t channels);

  ///   maps     four [B, inputs_i, H_i, W_i]
  ///   returns  five [B, channels, H_i, W_i]
  std::vector<torch::Tensor> forward(const std::vector<torch::Tensor>& maps);

  /// Weights from a uniform distribution by fan-in and fan-out, biases 0.
  void initialize_(at::Generator generator);

 private:
  std::vector<torch::nn::Conv2d> laterals_;
  std::vector<torch::nn::Conv2d> outputs_;
};
TORCH_MODULE(FeaturePyramid);

}  // namespace ibot::detection
