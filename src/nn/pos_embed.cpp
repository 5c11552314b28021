#include "ibot/nn/pos_embed.h"

#include <cmath>
#include <optional>

namespace ibot::nn {
namespace {

/// Sample positions follow from the factors, or without them from the sizes.
torch::Tensor bicubic(const torch::Tensor& pos_embed, const PositionGrid& stored,
                      const PositionGrid& wanted, std::optional<double> down,
                      std::optional<double> across) {
  const auto width = pos_embed.size(2);
  const auto map = pos_embed.narrow(1, 1, stored.rows * stored.columns)
                       .reshape({1, stored.rows, stored.columns, width})
                       .permute({0, 3, 1, 2})
                       .to(torch::kFloat);  // [1, D, rows, columns]
  const auto resized = at::upsample_bicubic2d(map, {wanted.rows, wanted.columns},
                                              /*align_corners=*/false, down, across);
  const auto patches =
      resized.permute({0, 2, 3, 1}).reshape({1, wanted.rows * wanted.columns, width});
  // The class token's position has no place in the grid: it is copied.
  return torch::cat({pos_embed.narrow(1, 0, 1), patches.to(pos_embed.dtype())}, 1);
}

}  // namespace

torch::Tensor interpolate_pos_embed(const torch::Tensor& pos_embed, int64_t rows, int64_t columns,
                                    bool native) {
  if (native) return pos_embed;
  const auto side = std::llround(std::sqrt(static_cast<double>(pos_embed.size(1) - 1)));
  return interpolate_pos_embed(pos_embed, PositionGrid{side, side}, PositionGrid{rows, columns});
}

torch::Tensor interpolate_pos_embed(const torch::Tensor& pos_embed, const PositionGrid& stored,
                                    const PositionGrid& wanted) {
  // The offset kept the reference's floor(side * factor) from falling one short.
  const auto factor = [](int64_t count, int64_t side) {
    return (static_cast<double>(count) + 0.1) / static_cast<double>(side);
  };
  return bicubic(pos_embed, stored, wanted, factor(wanted.rows, stored.rows),
                 factor(wanted.columns, stored.columns));
}

torch::Tensor resize_pos_embed(const torch::Tensor& pos_embed, const PositionGrid& stored,
                               const PositionGrid& wanted) {
  return bicubic(pos_embed, stored, wanted, std::nullopt, std::nullopt);
}

}  // namespace ibot::nn
