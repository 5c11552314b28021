#include "ibot/models/resize_weights.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "ibot/base/error.h"

namespace ibot::models {
namespace {

/// Whether the last part of a dotted name is `part`.
bool is_called(const std::string& name, std::string_view part) {
  const auto dot = name.rfind('.');
  return std::string_view(name).substr(dot == std::string::npos ? 0 : dot + 1) == part;
}

/// cells [S·S, C] → [side·side, C]; undefined where the cells make no square.
torch::Tensor resize_square(const torch::Tensor& cells, int64_t side) {
  const auto stored = square_side(cells.size(0));
  if (stored == 0 || side == 0) return {};
  const auto map = cells.to(torch::kFloat).t().reshape({1, cells.size(1), stored, stored});
  const auto resized = at::upsample_bicubic2d(map, {side, side}, /*align_corners=*/false);
  return resized.reshape({cells.size(1), side * side}).t().contiguous().to(cells.dtype());
}

torch::Tensor resize_positions(const torch::Tensor& stored, at::IntArrayRef wanted) {
  if (stored.dim() != 3 || wanted.size() != 3 || stored.size(0) != 1 || wanted[0] != 1 ||
      stored.size(2) != wanted[2]) {
    return {};
  }
  const auto positions = stored[0];
  const auto patches = resize_square(positions.slice(0, 1), square_side(wanted[1] - 1));
  if (!patches.defined()) return {};
  return torch::cat({positions.slice(0, 0, 1), patches}).unsqueeze(0);  // [1, 1 + N, D]
}

torch::Tensor resize_bias_table(const torch::Tensor& stored, at::IntArrayRef wanted) {
  if (stored.dim() != 2 || wanted.size() != 2 || stored.size(1) != wanted[1]) return {};
  return resize_square(stored, square_side(wanted[0]));
}

}  // namespace

int64_t square_side(int64_t cells) {
  const auto side = std::llround(std::sqrt(static_cast<double>(std::max<int64_t>(cells, 0))));
  return side * side == cells ? side : 0;
}

std::string position_problem(int64_t positions) {
  if (square_side(positions - 1) > 0 || square_side(positions) == 0) return {};
  return concat("expected ", positions + 1,
                " positions, a class token's and those of a square of patches, got ", positions,
                ": the class token's is missing; choose weights that have it");
}

torch::Tensor resize_weight(const std::string& name, const torch::Tensor& stored,
                            at::IntArrayRef wanted) {
  if (stored.sizes() == wanted) return stored;
  if (is_called(name, "pos_embed")) return resize_positions(stored, wanted);
  if (is_called(name, "relative_position_bias_table")) return resize_bias_table(stored, wanted);
  return {};
}

}  // namespace ibot::models
