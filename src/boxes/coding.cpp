#include "ibot/boxes/coding.h"

#include <cmath>

#include "ibot/base/error.h"

namespace ibot::boxes {
namespace {

/// Center x and y, width, height; each of the shape without the last dimension.
struct Sides {
  torch::Tensor x;
  torch::Tensor y;
  torch::Tensor width;
  torch::Tensor height;

  explicit Sides(const torch::Tensor& boxes)
      : x((boxes.select(-1, 0) + boxes.select(-1, 2)) * 0.5),
        y((boxes.select(-1, 1) + boxes.select(-1, 3)) * 0.5),
        width(boxes.select(-1, 2) - boxes.select(-1, 0)),
        height(boxes.select(-1, 3) - boxes.select(-1, 1)) {}
};

torch::Tensor row_of(const Deviations& deviations, const torch::Tensor& like) {
  return torch::tensor({deviations[0], deviations[1], deviations[2], deviations[3]},
                       like.options());
}

}  // namespace

torch::Tensor encode(const torch::Tensor& proposals, const torch::Tensor& targets,
                     const Deviations& deviations) {
  const Sides from(proposals);
  const Sides to(targets);
  const auto differences =
      torch::stack({(to.x - from.x) / from.width, (to.y - from.y) / from.height,
                    (to.width / from.width).log(), (to.height / from.height).log()},
                   -1);
  return differences / row_of(deviations, proposals);
}

torch::Tensor decode(const torch::Tensor& proposals, const torch::Tensor& differences,
                     const Deviations& deviations, std::optional<ImageSize> image) {
  IBOT_CHECK(differences.dim() == 2 && differences.size(1) % 4 == 0,
             "box differences: expected [N, 4 C], got ", differences.sizes());
  // mmdetection's wh_ratio_clip = 16 / 1000: exp cannot overflow early in training.
  static const double most = std::abs(std::log(16.0 / 1000.0));
  const auto scaled = differences.view({differences.size(0), -1, 4}) *
                      row_of(deviations, differences);  // [N, C, 4]
  const Sides from(proposals.unsqueeze(1));             // each [N, 1]
  const auto half_width = from.width * scaled.select(-1, 2).clamp(-most, most).exp() * 0.5;
  const auto half_height = from.height * scaled.select(-1, 3).clamp(-most, most).exp() * 0.5;
  const auto x = from.x + from.width * scaled.select(-1, 0);
  const auto y = from.y + from.height * scaled.select(-1, 1);
  // To [N, C, 4], which shares its layout with the columns returned.
  auto boxes = torch::stack({x - half_width, y - half_height, x + half_width, y + half_height}, -1);
  if (image) boxes = clipped(boxes, *image);
  return boxes.view(differences.sizes());
}

torch::Tensor clipped(const torch::Tensor& boxes, ImageSize image) {
  const auto x = boxes.slice(-1, 0, 4, 2).clamp(0, image.width);
  const auto y = boxes.slice(-1, 1, 4, 2).clamp(0, image.height);
  return torch::stack({x.select(-1, 0), y.select(-1, 0), x.select(-1, 1), y.select(-1, 1)}, -1);
}

}  // namespace ibot::boxes
