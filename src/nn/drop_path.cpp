#include "ibot/nn/drop_path.h"

namespace ibot::nn {

torch::Tensor drop_path_scale(int64_t samples, double rate,
                              const std::optional<at::Generator>& generator,
                              const torch::TensorOptions& options) {
  const double keep = 1.0 - rate;
  return torch::empty({samples}, options).bernoulli_(keep, generator).div_(keep);
}

std::vector<double> drop_path_rates(double last, int64_t depth) {
  const auto rates = torch::linspace(0.0, last, depth, torch::kFloat);
  std::vector<double> values;
  for (int64_t i = 0; i < depth; ++i) values.push_back(rates[i].item<double>());
  return values;
}

}  // namespace ibot::nn
