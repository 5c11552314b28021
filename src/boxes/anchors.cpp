#include "ibot/boxes/anchors.h"

#include <algorithm>

namespace ibot::boxes {

torch::Tensor cell_anchors(int64_t stride, const AnchorOptions& options) {
  const auto height_factor = torch::tensor(options.ratios, torch::kFloat).sqrt();
  const auto side = static_cast<double>(stride);
  // The order of the products is AnchorGenerator's: another one rounds differently in float32.
  const auto half_width = side * (1 / height_factor) * options.scale * 0.5;
  const auto half_height = side * height_factor * options.scale * 0.5;
  return torch::stack({-half_width, -half_height, half_width, half_height}, 1);  // [ratios, 4]
}

torch::Tensor level_anchors(int64_t rows, int64_t columns, int64_t stride,
                            const AnchorOptions& options) {
  const auto places = [&](int64_t count) { return torch::arange(count, torch::kFloat) * stride; };
  const auto x = places(columns).view({1, columns}).expand({rows, columns});
  const auto y = places(rows).view({rows, 1}).expand({rows, columns});
  const auto shifts = torch::stack({x, y, x, y}, -1).view({-1, 1, 4});  // [cells, 1, 4]
  return (shifts + cell_anchors(stride, options)).view({-1, 4});        // [cells · ratios, 4]
}

torch::Tensor usable_anchors(const torch::Tensor& anchors, int64_t rows, int64_t columns,
                             int64_t stride, ImageSize image, ImageSize padded) {
  const auto cells = [&](int64_t count, int64_t pixels) {
    // Cells that the padded image reaches, a partly covered last one included.
    return torch::arange(count) < std::min(count, (pixels + stride - 1) / stride);
  };
  const int64_t ratios = anchors.size(0) / (rows * columns);
  const auto in_padded = cells(rows, padded.height)
                             .view({rows, 1, 1})
                             .logical_and(cells(columns, padded.width).view({1, columns, 1}))
                             .expand({rows, columns, ratios})
                             .reshape(-1);
  return in_padded.logical_and(anchors.select(1, 0) >= 0)
      .logical_and(anchors.select(1, 1) >= 0)
      .logical_and(anchors.select(1, 2) < image.width)
      .logical_and(anchors.select(1, 3) < image.height);
}

}  // namespace ibot::boxes
