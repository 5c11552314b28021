#include "ibot/nn/pos_embed.h"

#include <cmath>

namespace ibot::nn {

torch::Tensor interpolate_pos_embed(const torch::Tensor& pos_embed, int64_t rows, int64_t columns,
                                    bool native) {
  if (native) return pos_embed;
  const auto width = pos_embed.size(2);
  const auto side = std::llround(std::sqrt(static_cast<double>(pos_embed.size(1) - 1)));
  // The offset kept the reference's floor(side * factor) from falling one short.
  const auto factor = [side](int64_t count) {
    return (static_cast<double>(count) + 0.1) / static_cast<double>(side);
  };
  const auto map = pos_embed.narrow(1, 1, side * side)
                       .reshape({1, side, side, width})
                       .permute({0, 3, 1, 2})
                       .to(torch::kFloat);  // [1, D, S, S]
  const auto resized = at::upsample_bicubic2d(map, {rows, columns}, /*align_corners=*/false,
                                              factor(rows), factor(columns));
  const auto patches = resized.permute({0, 2, 3, 1}).reshape({1, rows * columns, width});
  return torch::cat({pos_embed.narrow(1, 0, 1), patches.to(pos_embed.dtype())}, 1);
}

}  // namespace ibot::nn
