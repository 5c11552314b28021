#include "ibot/boxes/overlap.h"

namespace ibot::boxes {
namespace {

/// Square pixels; mmdetection's eps, which keeps empty boxes from dividing by 0.
constexpr double kLeastArea = 1e-6;

torch::Tensor area(const torch::Tensor& boxes) {
  return (boxes.select(-1, 2) - boxes.select(-1, 0)) * (boxes.select(-1, 3) - boxes.select(-1, 1));
}

/// Of boxes that broadcast: areas have the shape without the last dimension.
struct Areas {
  torch::Tensor intersection;
  torch::Tensor united;  // floored
  torch::Tensor own;     // of a

  Areas(const torch::Tensor& a, const torch::Tensor& b)
      : intersection(area_between(torch::maximum(corner(a, 0), corner(b, 0)),
                                  torch::minimum(corner(a, 2), corner(b, 2)))),
        united((area(a) + area(b) - intersection).clamp_min(kLeastArea)),
        own(area(a)) {}

  static torch::Tensor corner(const torch::Tensor& boxes, int64_t first) {
    return boxes.slice(-1, first, first + 2);
  }
  static torch::Tensor area_between(const torch::Tensor& low, const torch::Tensor& high) {
    // Boxes that do not meet have negative sides.
    const auto sides = (high - low).clamp_min(0);
    return sides.select(-1, 0) * sides.select(-1, 1);
  }
};

torch::Tensor generalized(const torch::Tensor& a, const torch::Tensor& b) {
  const Areas areas(a, b);
  const auto enclosing =
      Areas::area_between(torch::minimum(Areas::corner(a, 0), Areas::corner(b, 0)),
                          torch::maximum(Areas::corner(a, 2), Areas::corner(b, 2)))
          .clamp_min(kLeastArea);
  return areas.intersection / areas.united - (enclosing - areas.united) / enclosing;
}

}  // namespace

torch::Tensor iou(const torch::Tensor& a, const torch::Tensor& b) {
  const Areas areas(a.unsqueeze(1), b.unsqueeze(0));  // [N, M]
  return areas.intersection / areas.united;
}

torch::Tensor intersection_share(const torch::Tensor& a, const torch::Tensor& b) {
  const Areas areas(a.unsqueeze(1), b.unsqueeze(0));
  return areas.intersection / areas.own.clamp_min(kLeastArea);
}

torch::Tensor generalized_iou(const torch::Tensor& a, const torch::Tensor& b) {
  return generalized(a.unsqueeze(1), b.unsqueeze(0));
}

torch::Tensor paired_generalized_iou(const torch::Tensor& a, const torch::Tensor& b) {
  return generalized(a, b);
}

}  // namespace ibot::boxes
