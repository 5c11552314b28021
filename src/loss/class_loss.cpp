#include "ibot/loss/class_loss.h"

#include <algorithm>

#include "ibot/base/error.h"
#include "ibot/loss/cross_entropy.h"

namespace ibot::loss {
namespace {

/// For view v and image b the sum of the image's targets in all global views but v.
TargetRows of_other_views(const torch::Tensor& teacher, int64_t global_views) {
  const auto all = teacher.view({global_views, -1, teacher.size(1)}).sum(0);  // [B, K]
  const auto rows = [](const std::vector<torch::Tensor>& sources, int64_t first, int64_t count) {
    const auto& own = sources[0];  // [G·B, K]
    const auto& sum = sources[1];  // [B, K]
    // Rows are crop-major: row r belongs to image r mod B.
    const auto image = torch::arange(first, first + count, sum.options().dtype(torch::kLong))
                           .remainder_(sum.size(0));
    auto target = sum.index_select(0, image);  // [count, K]
    // The first G·B student rows are the teacher's own views, in its order: a view never learns
    // from itself. Local crops keep the whole sum.
    const auto global = std::clamp<int64_t>(own.size(0) - first, 0, count);
    target.narrow(0, 0, global).sub_(own.narrow(0, std::min(first, own.size(0)), global));
    return target;
  };
  return {{teacher, all}, rows};
}

}  // namespace

torch::Tensor class_loss(const torch::Tensor& student, const torch::Tensor& teacher,
                         int64_t global_views, double student_temp) {
  const auto images = teacher.size(0) / global_views;
  const auto views = student.size(0) / images;
  IBOT_CHECK(teacher.size(0) == global_views * images && student.size(0) == views * images &&
                 views >= global_views && views > 1 && student.size(1) == teacher.size(1),
             "class_loss: expected views of equal size, got student ", student.sizes(),
             ", teacher ", teacher.sizes(), ", global views ", global_views);
  // G (V - 1) pairs of views: 22 for 2 global and 10 local crops.
  const auto pairs = static_cast<double>(global_views * (views - 1) * images);
  return cross_entropy(student, of_other_views(teacher, global_views), student_temp).sum() / pairs;
}

}  // namespace ibot::loss
