#include "ibot/eval/correspondence.h"

#include <cstdlib>

namespace ibot::eval {
namespace {

/// Positions of `count` centers between two edges: [B], [B] → [B, count].
torch::Tensor centers_between(const torch::Tensor& first, const torch::Tensor& last,
                              int64_t count) {
  // The odd ones of 2 · count + 1 equidistant points, as the reference takes them.
  const auto share =
      (torch::arange(count, first.options()) * 2 + 1) / static_cast<double>(2 * count);
  return first.unsqueeze(1) + share * (last - first).unsqueeze(1);
}

/// Every so many rows or columns of `fine`, `coarse` of them.
torch::Tensor thinned(int64_t fine, int64_t coarse, torch::Device device) {
  return torch::arange(coarse, torch::TensorOptions(torch::kLong).device(device))
      .mul(fine)
      .floor_divide(coarse);
}

}  // namespace

torch::Tensor patch_centers(const torch::Tensor& corners, mask::PatchGrid grid) {
  const auto edge = corners.to(torch::kDouble).unbind(1);
  const auto rows = centers_between(edge[0], edge[2], grid.rows);        // [B, R]
  const auto columns = centers_between(edge[1], edge[3], grid.columns);  // [B, C]
  const auto shape = std::vector<int64_t>{corners.size(0), grid.rows, grid.columns};
  // (row, column) of each patch, row-major: [B, N, 2].
  return torch::stack({rows.unsqueeze(2).expand(shape), columns.unsqueeze(1).expand(shape)}, -1)
      .flatten(1, 2);
}

torch::Tensor overlapping(const torch::Tensor& centers1, const torch::Tensor& centers2,
                          double half) {
  const auto low = centers2.amin(1, true);
  const auto high = centers2.amax(1, true);
  // Half a patch around a center may overlap although the center itself does not.
  return (centers1 + half > low).logical_and(centers1 - half < high).all(-1);
}

torch::Tensor nearest_patch(const torch::Tensor& centers1, const torch::Tensor& centers2) {
  // [B, N, 1, 2] - [B, 1, N, 2]: nearest by Euclidean distance, [B, N].
  return (centers1.unsqueeze(2) - centers2.unsqueeze(1)).square().sum(-1).argmin(-1);
}

torch::Tensor matched_patch(const torch::Tensor& tokens1, const torch::Tensor& tokens2) {
  // Tokens are not normalized, as in the reference: [B, N, N] to [B, N].
  return tokens1.bmm(tokens2.transpose(1, 2)).argmax(-1);
}

torch::Tensor right_matches(const torch::Tensor& match, const torch::Tensor& truth,
                            const torch::Tensor& overlap, int64_t radius, int64_t columns) {
  const auto near = [&](const torch::Tensor& a, const torch::Tensor& b) {
    // In rows and in columns: a square around the true patch.
    return (a - b).abs() <= radius;
  };
  return near(match.floor_divide(columns), truth.floor_divide(columns))
      .logical_and(near(match.remainder(columns), truth.remainder(columns)))
      .logical_and(overlap);
}

torch::Tensor most_attended_patches(const torch::Tensor& attention, mask::PatchGrid grid,
                                    const torch::Tensor& overlap, int64_t count) {
  const auto device = attention.device();
  // The ranking model has finer patches: every so many rows and columns stand for ours.
  auto maps = attention.index_select(2, thinned(attention.size(2), grid.rows, device))
                  .index_select(3, thinned(attention.size(3), grid.columns, device))
                  .flatten(2);  // [B, heads, N]
  if (overlap.defined()) maps = maps * overlap.to(device).unsqueeze(1);
  return maps.mean(1)
      .argsort(/*stable=*/true, /*dim=*/-1, /*descending=*/true)
      .narrow(-1, 0, count);
}

void draw_line_(const torch::Tensor& picture, Point from, Point to) {
  auto pixels = picture.accessor<uint8_t, 3>();
  const auto mark = [&](Point at) {
    if (at.y < 0 || at.y >= pixels.size(0) || at.x < 0 || at.x >= pixels.size(1)) return;
    pixels[at.y][at.x][0] = 255;
    pixels[at.y][at.x][1] = pixels[at.y][at.x][2] = 0;
  };
  // Bresenham: along the longer side, with a step of the shorter when the error says so.
  const bool flat = std::abs(to.x - from.x) > std::abs(to.y - from.y);
  const auto along = flat ? &Point::x : &Point::y;
  const auto across = flat ? &Point::y : &Point::x;
  const auto steps = std::abs(to.*along - from.*along);
  const auto rise = std::abs(to.*across - from.*across);
  auto error = 2 * rise - steps;
  for (int64_t i = 0; i < steps; ++i) {
    mark(from);
    if (error >= 0) {
      from.*across += to.*across > from.*across ? 1 : -1;
      error -= 2 * steps;
    }
    error += 2 * rise;
    from.*along += to.*along > from.*along ? 1 : -1;
  }
  mark(to);
}

}  // namespace ibot::eval
