#include "ibot/loss/patch_loss.h"

#include "ibot/base/error.h"

namespace ibot::loss {

torch::Tensor patch_loss(const torch::Tensor& student, const TargetRows& teacher,
                         const torch::Tensor& weight, int64_t views, double student_temp) {
  IBOT_CHECK(student.size(0) == weight.size(0), "patch_loss: expected equal rows, got student ",
             student.sizes(), ", weight ", weight.sizes());
  // The weights of a view sum to 1, or there are none: a view without masked patches adds 0 and
  // still counts in `views`.
  return cross_entropy(student, teacher, student_temp).dot(weight) / static_cast<double>(views);
}

}  // namespace ibot::loss
