#include "ibot/loss/patch_loss.h"

#include "ibot/base/error.h"

namespace ibot::loss {

torch::Tensor patch_loss(const torch::Tensor& student, const torch::Tensor& teacher,
                         const torch::Tensor& weight, int64_t views, double student_temp) {
  IBOT_CHECK(student.sizes() == teacher.sizes() && student.size(0) == weight.size(0),
             "patch_loss: expected equal rows, got student ", student.sizes(), ", teacher ",
             teacher.sizes(), ", weight ", weight.sizes());
  const auto log_p = (student.to(torch::kFloat) / student_temp).log_softmax(-1);  // [M, K']
  const auto cross_entropy = teacher.mul(log_p).sum(-1);                          // [M], negated
  return cross_entropy.dot(weight) / -static_cast<double>(views);
}

}  // namespace ibot::loss
