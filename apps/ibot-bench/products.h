// The matrix products of a training step alone: the limit that its speed is compared with.
#pragma once

#include <torch/types.h>

#include <vector>

#include "ibot/config/run_config.h"

namespace ibot::apps {

/// The four linear layers of a block of every stage, forward and both gradients, over the tokens
/// that the student's global and local crops have, in the precision of the configuration; operands
/// and results lie ready on the device.
class Products {
 public:
  Products(const config::RunConfig& config, torch::Device device);
  void run() const;
  /// Floating-point operations of run(), a multiply-add counted as two.
  double flops() const;

 private:
  struct Linear {
    torch::Tensor input;            // [T, I]
    torch::Tensor weight;           // [O, I]
    torch::Tensor output;           // [T, O]
    torch::Tensor input_gradient;   // [T, I]
    torch::Tensor weight_gradient;  // [O, I]
  };

  std::vector<Linear> linears_;
};

}  // namespace ibot::apps
