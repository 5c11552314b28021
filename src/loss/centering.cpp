#include "ibot/loss/centering.h"

namespace ibot::loss {

void update_center_(torch::Tensor center, const torch::Tensor& mean, double momentum) {
  const torch::NoGradGuard no_grad;
  const auto moved = center * momentum + mean.to(torch::kFloat).view_as(center) * (1.0 - momentum);
  center.copy_(torch::where(moved.isfinite().all(), moved, center));
}

torch::Tensor teacher_probabilities(const torch::Tensor& logits, const torch::Tensor& center,
                                    double temperature) {
  const auto row = center.view({1, -1});  // [1, K]
  return logits.to(torch::kFloat).sub(row).div_(temperature).softmax(-1);
}

}  // namespace ibot::loss
