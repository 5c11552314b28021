#include "ibot/nn/drop_path.h"

namespace ibot::nn {

torch::Tensor drop_path_scale(int64_t samples, double rate, const BlockContext& context,
                              torch::Device device) {
  if (rate == 0.0) return {};
  // Kept branches are divided by the share that is kept, so that their mean stays.
  const double keep = 1.0 - rate;
  const auto draw = [&](int64_t count) {
    return torch::empty({count}, torch::TensorOptions(torch::kFloat).device(device))
        .bernoulli_(keep, context.generator)
        .div_(keep);
  };
  const auto& slice = context.slice;
  if (slice.whole == slice.images) return draw(samples).view({-1, 1, 1});
  // One number for each crop of all ranks costs nothing beside a block.
  // Rows are crop-major: [crops, images of all ranks], of which this rank's images are a slice.
  const auto crops = samples / slice.images;
  const auto end = slice.first + (slice.images - 1) * slice.stride + 1;
  return draw(crops * slice.whole)
      .view({crops, slice.whole})
      .slice(1, slice.first, end, slice.stride)
      .reshape({-1, 1, 1});
}

std::vector<double> drop_path_rates(double last, int64_t depth) {
  // In float32, as torch.linspace in the reference.
  const auto rates = torch::linspace(0.0, last, depth, torch::kFloat);
  std::vector<double> values;
  for (int64_t i = 0; i < depth; ++i) values.push_back(rates[i].item<double>());
  return values;
}

}  // namespace ibot::nn
