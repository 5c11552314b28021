#include "ibot/batch/patch_pairs.h"

#include <vector>

#include "ibot/base/error.h"

namespace ibot::batch {
namespace {

torch::Tensor marked(const torch::Tensor& mask) {
  IBOT_CHECK(mask.dim() == 2 && mask.scalar_type() == torch::kBool,
             "masked_pairs: expected a bool mask [V, N], got ", mask.sizes());
  return mask.flatten().nonzero().squeeze(1);  // [M]
}

/// 1 / (number of marked patches in its view) for each marked patch: [M].
torch::Tensor share_of_view(const torch::Tensor& mask, const torch::Tensor& indices) {
  const auto per_view = mask.sum(1);                     // [V]
  const auto view = indices.floor_divide(mask.size(1));  // [M]
  return per_view.index_select(0, view).to(torch::kFloat).reciprocal();
}

/// The edges of a crop in its image. A flipped crop has left > right, so x() needs no case for it.
struct Edges {
  double top, left, bottom, right;

  double y(double share) const { return top + share * (bottom - top); }
  double x(double share) const { return left + share * (right - left); }
};

/// Index of the cell, of `count` between `first` and `last`, that contains `position`, hence whose
/// center is nearest; -1 outside.
int64_t cell(double position, double first, double last, int64_t count) {
  const double share = (position - first) / (last - first);
  if (share < 0.0 || share >= 1.0) return -1;
  return static_cast<int64_t>(share * static_cast<double>(count));
}

double center(int64_t index, int64_t count) {
  return (static_cast<double>(index) + 0.5) / static_cast<double>(count);
}

/// The patch of `other` at the center of patch `index` of `own`; -1 outside.
int64_t patch_at_center(const Edges& own, const Edges& other, mask::PatchGrid grid, int64_t index) {
  const double y = own.y(center(index / grid.columns, grid.rows));
  const double x = own.x(center(index % grid.columns, grid.columns));
  const int64_t row = cell(y, other.top, other.bottom, grid.rows);
  const int64_t column = cell(x, other.left, other.right, grid.columns);
  return row < 0 || column < 0 ? -1 : row * grid.columns + column;
}

}  // namespace

PatchPairs masked_pairs(const torch::Tensor& mask, const torch::Tensor& local_mask) {
  PatchPairs pairs;
  pairs.student = marked(mask);
  // The same patch of the same view: masked image modeling.
  pairs.teacher = pairs.student;
  pairs.weight = share_of_view(mask, pairs.student);
  pairs.views = mask.size(0);
  if (!local_mask.defined()) return pairs;
  pairs.student_local = marked(local_mask);
  // The teacher's local patches come after all its global ones.
  pairs.teacher = torch::cat({pairs.teacher, pairs.student_local + mask.numel()});
  pairs.weight = torch::cat({pairs.weight, share_of_view(local_mask, pairs.student_local)});
  pairs.views += local_mask.size(0);
  return pairs;
}

PatchPairs pairs_by_position(const torch::Tensor& crop_box, mask::PatchGrid grid) {
  IBOT_CHECK(crop_box.defined() && crop_box.dim() == 2 && crop_box.size(0) % 2 == 0 &&
                 crop_box.size(1) == 4 && crop_box.scalar_type() == torch::kDouble,
             "pairs_by_position: expected float64 boxes [2·B, 4], got ",
             crop_box.defined() ? concat(crop_box.sizes()) : "none");
  const int64_t views = crop_box.size(0);
  const auto boxes = crop_box.contiguous();
  const auto edges = [&](int64_t view) {
    const double* box = boxes.const_data_ptr<double>() + 4 * view;
    return Edges{box[0], box[1], box[2], box[3]};
  };
  std::vector<int64_t> student, teacher;
  std::vector<float> weight;
  for (int64_t view = 0; view < views; ++view) {
    // Crop-major order: the other crop of the same image is half the rows away.
    const int64_t other = (view + views / 2) % views;
    const size_t first = student.size();
    for (int64_t patch = 0; patch < grid.size(); ++patch) {
      const int64_t match = patch_at_center(edges(view), edges(other), grid, patch);
      if (match < 0) continue;
      student.push_back(view * grid.size() + patch);
      teacher.push_back(other * grid.size() + match);
    }
    // The weights of a view add up to 1. Without overlap nothing is appended: 1 / 0 goes unused.
    weight.resize(student.size(), 1.0f / static_cast<float>(student.size() - first));
  }
  return {torch::tensor(student, torch::kLong),
          {},
          torch::tensor(teacher, torch::kLong),
          torch::tensor(weight, torch::kFloat),
          views};
}

PatchPairs pairs_by_feature(int64_t views, int64_t patches) {
  const auto count = views * patches;
  // Every patch has a partner; which one, the teacher's features decide (most_similar_patches).
  const auto weight = torch::full({count}, 1.0f / static_cast<float>(patches), torch::kFloat);
  return {torch::arange(count, torch::kLong), {}, {}, weight, views};
}

}  // namespace ibot::batch
