#include "ibot/loss/centering.h"

namespace ibot::loss {

void update_center_(torch::Tensor center, const torch::Tensor& mean, double momentum) {
  const torch::NoGradGuard no_grad;
  // The mean arrives as [K]; the patch center is [1, 1, K'] as in the reference's checkpoints.
  const auto moved = center * momentum + mean.to(torch::kFloat).view_as(center) * (1.0 - momentum);
  // Chosen on the device, so that the host need not wait to learn whether the mean is finite.
  center.copy_(torch::where(moved.isfinite().all(), moved, center));
}

torch::Tensor teacher_probabilities(const torch::Tensor& logits, const torch::Tensor& center,
                                    double temperature) {
  const auto row = center.view({1, -1});  // [1, K]
  // sub makes a new tensor, so that div_ leaves the teacher's logits as they are.
  return logits.to(torch::kFloat).sub(row).div_(temperature).softmax(-1);
}

torch::Tensor sharpened_probabilities(const torch::Tensor& logits, double temperature) {
  return logits.to(torch::kFloat).div(temperature).softmax(-1);
}

torch::Tensor most_likely(const torch::Tensor& logits, const torch::Tensor& center) {
  const auto scores = logits.to(torch::kFloat).sub(center.view({1, -1}));
  // Not one_hot, which reads the largest index back from the device.
  return torch::zeros_like(scores).scatter_(-1, scores.argmax(-1, /*keepdim=*/true), 1.0);
}

}  // namespace ibot::loss
