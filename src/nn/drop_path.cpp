#include "ibot/nn/drop_path.h"

namespace ibot::nn {

torch::Tensor drop_path(const torch::Tensor& branch, double rate,
                        const std::optional<at::Generator>& generator) {
  if (rate == 0.0) return branch;
  const double keep = 1.0 - rate;
  auto shape = std::vector<int64_t>(branch.dim(), 1);
  shape[0] = branch.size(0);
  const auto kept = torch::empty(shape, branch.options()).bernoulli_(keep, generator).div_(keep);
  return branch * kept;
}

std::vector<double> drop_path_rates(double last, int64_t depth) {
  const auto rates = torch::linspace(0.0, last, depth, torch::kFloat);
  std::vector<double> values;
  for (int64_t i = 0; i < depth; ++i) values.push_back(rates[i].item<double>());
  return values;
}

}  // namespace ibot::nn
