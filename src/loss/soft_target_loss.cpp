#include "ibot/loss/soft_target_loss.h"

#include "ibot/base/error.h"

namespace ibot::loss {

torch::Tensor soft_target_loss(const torch::Tensor& logits, const torch::Tensor& targets) {
  IBOT_CHECK(logits.sizes() == targets.sizes(), "soft_target_loss: expected targets ",
             logits.sizes(), ", got ", targets.sizes());
  const auto log_probabilities = torch::log_softmax(logits.to(torch::kFloat), -1);
  return -(targets * log_probabilities).sum(-1).mean();
}

}  // namespace ibot::loss
