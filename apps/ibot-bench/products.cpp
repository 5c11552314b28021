#include "ibot-bench/products.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>

#include <cmath>

#include "ibot/models/backbone.h"
#include "ibot/optim/autocast.h"

namespace ibot::apps {
/// From one stage to the next a backbone has a quarter of the tokens and twice the width.
std::vector<Products::Shape> Products::block_shapes(const models::BackboneOptions& options,
                                                    int64_t images, int64_t image_size) {
  std::vector<Shape> shapes;
  auto width = models::output_width(options);
  auto tokens = models::mask_grid(options, image_size).size();
  for (auto pixels = models::token_pixels(options); pixels >= options.patch_size; pixels /= 2) {
    const auto rows = images * tokens;
    const auto hidden = static_cast<int64_t>(options.mlp_ratio * static_cast<double>(width));
    for (const auto& [input, output] :
         {std::pair{width, 3 * width}, {width, width}, {width, hidden}, {hidden, width}}) {
      shapes.push_back({rows, input, output});
    }
    tokens *= 4;
    width /= 2;
  }
  return shapes;
}

Products::Products(const config::RunConfig& config, torch::Device device) {
  const auto& augment = config.augment;
  const auto images = config.train.batch_size;
  shapes_ = block_shapes(config.backbone, images * augment.global_crops, augment.global_size);
  if (augment.local_crops > 0) {
    const auto local =
        block_shapes(config.backbone, images * augment.local_crops, augment.local_size);
    shapes_.insert(shapes_.end(), local.begin(), local.end());
  }
  const auto type = optim::autocast_dtype(config.train.precision, device).value_or(torch::kFloat);
  options_ = torch::TensorOptions(device).dtype(type);
}

void Products::lay_out() {
  for (const auto& [rows, input, output] : shapes_) {
    const auto weight = at::randn({output, input}, options_) / std::sqrt(input);
    const auto in = at::randn({rows, input}, options_);
    linears_.push_back({.input = in,
                        .weight = weight,
                        .output = at::randn({rows, output}, options_),
                        .input_gradient = at::empty_like(in),
                        .weight_gradient = at::empty_like(weight)});
  }
}

void Products::run() const {
  for (auto linear : linears_) {
    at::mm_out(linear.output, linear.input, linear.weight.t());
    at::mm_out(linear.input_gradient, linear.output, linear.weight);
    at::mm_out(linear.weight_gradient, linear.output.t(), linear.input);
  }
}

BenchWork Products::work() {
  double flops = 0.0;
  for (const auto& [rows, input, output] : shapes_) {
    flops += 3.0 * 2.0 * static_cast<double>(rows * input * output);
  }
  return {.bench = {.name = "products", .flops = flops},
          .run = [this] { run(); },
          .before = [this] { lay_out(); },
          .after = [this] { linears_.clear(); }};
}

}  // namespace ibot::apps
