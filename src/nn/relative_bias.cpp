#include "ibot/nn/relative_bias.h"

#include <cmath>

#include "ibot/nn/window_attention.h"

namespace ibot::nn {

torch::Tensor class_position_index(int64_t side) {
  const auto offsets = (2 * side - 1) * (2 * side - 1);
  const auto tokens = 1 + side * side;
  auto index = torch::full({tokens, tokens}, offsets + 1, torch::kLong);  // patch to class token
  index.slice(0, 1).slice(1, 1).copy_(relative_position_index(side));
  index[0].fill_(offsets);
  index[0][0].fill_(offsets + 2);
  return index;
}

torch::Tensor resize_bias_table(const torch::Tensor& table, int64_t side, int64_t others) {
  const auto cells = table.size(0) - others;
  const auto stored = std::llround(std::sqrt(static_cast<double>(cells)));
  if (stored == side) return table;
  const auto heads = table.size(1);
  // [offsets², heads] to [1, heads, offsets, offsets]
  const auto map =
      table.slice(0, 0, cells).to(torch::kFloat).t().reshape({1, heads, stored, stored});
  const auto resized = at::upsample_bicubic2d(map, {side, side}, /*align_corners=*/false)
                           .reshape({heads, side * side})
                           .t();
  return torch::cat({resized.to(table.dtype()), table.slice(0, cells)}).contiguous();
}

}  // namespace ibot::nn
