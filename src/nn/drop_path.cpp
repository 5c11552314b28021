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

double drop_path_rate(double last, int64_t block, int64_t depth) {
  return depth > 1 ? last * static_cast<double>(block) / static_cast<double>(depth - 1) : 0.0;
}

}  // namespace ibot::nn
