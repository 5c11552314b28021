#include "ibot/loss/soft_target_loss.h"

#include "ibot/loss/cross_entropy.h"

namespace ibot::loss {

torch::Tensor soft_target_loss(const torch::Tensor& logits, const torch::Tensor& targets) {
  return cross_entropy(logits, targets, 1.0).mean();
}

}  // namespace ibot::loss
