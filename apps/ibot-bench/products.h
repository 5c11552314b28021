// The matrix products of a training step alone: the limit that its speed is compared with.
#pragma once

#include <torch/types.h>

#include <vector>

#include "ibot-bench/figures.h"
#include "ibot/config/run_config.h"

namespace ibot::apps {

/// The four linear layers of a block of every stage, forward and both gradients, over the tokens
/// that the student's global and local crops have, in the precision of the configuration.
class Products {
 public:
  Products(const config::RunConfig& config, torch::Device device);
  /// The case "products". Operands and results lie ready on the device during a run alone, so that
  /// they do not count as memory of what is measured beside it.
  BenchWork work();

 private:
  /// Input and output width of a layer, and the rows that it is applied to.
  struct Shape {
    int64_t rows = 0;
    int64_t input = 0;
    int64_t output = 0;
  };

  struct Linear {
    torch::Tensor input;            // [T, I]
    torch::Tensor weight;           // [O, I]
    torch::Tensor output;           // [T, O]
    torch::Tensor input_gradient;   // [T, I]
    torch::Tensor weight_gradient;  // [O, I]
  };

  static std::vector<Shape> block_shapes(const models::BackboneOptions& options, int64_t images,
                                         int64_t image_size);
  void lay_out();
  void run() const;
  std::vector<Shape> shapes_;
  torch::TensorOptions options_;
  std::vector<Linear> linears_;
};

}  // namespace ibot::apps
