// Layers and initial values that the heads share.
#pragma once

#include <torch/nn/modules/conv.h>

#include <memory>
#include <string>
#include <vector>

namespace ibot::detection {

inline torch::nn::Conv2d conv(int64_t inputs, int64_t outputs, int64_t kernel) {
  return torch::nn::Conv2d(
      torch::nn::Conv2dOptions(inputs, outputs, kernel).padding(kernel / 2).bias(true));
}

/// `count` convolutions made by make(i), registered as NAME.{i}.conv, as mmdetection's modules are.
template <class Make>
std::vector<torch::nn::Conv2d> numbered_convs(torch::nn::Module& owner, const std::string& name,
                                              int64_t count, const Make& make) {
  const auto list = owner.register_module(name, std::make_shared<torch::nn::Module>());
  std::vector<torch::nn::Conv2d> convs;
  for (int64_t i = 0; i < count; ++i) {
    const auto block =
        list->register_module(std::to_string(i), std::make_shared<torch::nn::Module>());
    convs.push_back(block->register_module("conv", make(i)));
  }
  return convs;
}

/// Normal values of the deviation; the bias becomes 0.
void init_normal_(torch::Tensor& weight, torch::Tensor& bias, double deviation,
                  at::Generator generator);
/// Normal values whose variance is 2 / fan-out (He et al. 2015); the bias, if any, becomes 0.
void init_kaiming_(torch::Tensor& weight, torch::Tensor& bias, at::Generator generator);
/// Uniform values of variance 2 / (fan-in + fan-out) (Glorot & Bengio 2010); the bias becomes 0.
void init_xavier_(torch::Tensor& weight, torch::Tensor& bias, at::Generator generator);

}  // namespace ibot::detection
