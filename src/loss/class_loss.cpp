#include "ibot/loss/class_loss.h"

#include "ibot/base/error.h"

namespace ibot::loss {

torch::Tensor class_loss(const torch::Tensor& student, const torch::Tensor& teacher,
                         int64_t global_views, double student_temp) {
  const auto images = teacher.size(0) / global_views;
  const auto prototypes = teacher.size(1);
  const auto views = student.size(0) / images;
  IBOT_CHECK(teacher.size(0) == global_views * images && student.size(0) == views * images &&
                 views >= global_views && views > 1 && student.size(1) == prototypes,
             "class_loss: expected views of equal size, got student ", student.sizes(),
             ", teacher ", teacher.sizes(), ", global views ", global_views);
  const auto log_p = (student.to(torch::kFloat) / student_temp)
                         .log_softmax(-1)
                         .view({views, images, prototypes});  // [V, B, K]
  const auto target = teacher.view({global_views, images, prototypes});
  // Σ_q Σ_{v≠q} <P_q, log p_v>: every view against all targets, less each view against its own.
  const auto all_pairs = target.sum(0, true).mul(log_p).sum();
  const auto own_pairs = target.mul(log_p.narrow(0, 0, global_views)).sum();
  const auto pairs = static_cast<double>(global_views * (views - 1) * images);
  return (own_pairs - all_pairs) / pairs;
}

}  // namespace ibot::loss
