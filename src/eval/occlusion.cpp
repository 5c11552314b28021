#include "ibot/eval/occlusion.h"

#include "ibot/base/error.h"

namespace ibot::eval {
namespace {

/// For each of `pixels`, the one of `cells` that it lies in.
torch::Tensor cell_of_pixels(int64_t pixels, int64_t cells, torch::Device device) {
  return torch::arange(pixels, torch::TensorOptions(torch::kLong).device(device))
      .mul(2)
      .add(1)
      .mul(cells)
      .floor_divide(2 * pixels);
}

}  // namespace

torch::Tensor shuffled_cells(const torch::Tensor& images, mask::PatchGrid grid,
                             const torch::Tensor& order) {
  const auto batch = images.size(0);
  const auto channels = images.size(1);
  const auto height = images.size(2);
  const auto width = images.size(3);
  IBOT_CHECK(
      grid.rows > 0 && grid.columns > 0 && height % grid.rows == 0 && width % grid.columns == 0,
      "shuffled cells: expected a grid that divides ", height, " x ", width, " pixels, got ",
      grid.rows, " x ", grid.columns);
  IBOT_CHECK(order.size(-1) == grid.size(), "shuffled cells: expected an order of ", grid.size(),
             " cells, got ", order.size(-1));
  const auto rows = height / grid.rows;
  const auto columns = width / grid.columns;
  const auto cells = images.reshape({batch, channels, grid.rows, rows, grid.columns, columns})
                         .permute({0, 2, 4, 1, 3, 5})
                         .reshape({batch, grid.size(), -1});  // [B, P, C·h·w]
  const auto index = order.to(images.device()).expand({batch, -1}).unsqueeze(-1).expand_as(cells);
  return cells.gather(1, index)
      .view({batch, grid.rows, grid.columns, channels, rows, columns})
      .permute({0, 3, 1, 4, 2, 5})
      .reshape_as(images);
}

torch::Tensor blanked_cells(const torch::Tensor& images, mask::PatchGrid grid,
                            const torch::Tensor& blank) {
  IBOT_CHECK(blank.size(-1) == grid.size(), "blanked cells: expected a mark for each of ",
             grid.size(), " cells, got ", blank.size(-1));
  const auto device = images.device();
  const auto cells = blank.to(device).reshape({-1, 1, grid.rows, grid.columns});
  const auto pixels = cells.index_select(2, cell_of_pixels(images.size(2), grid.rows, device))
                          .index_select(3, cell_of_pixels(images.size(3), grid.columns, device));
  // 0 after normalization: the mean color.
  return images.masked_fill(pixels, 0.0);
}

std::vector<int64_t> tenths_of(int64_t cells) {
  std::vector<int64_t> counts;
  for (int64_t tenth = 0; tenth < 10; ++tenth) counts.push_back(tenth * cells / 10);
  return counts;
}

torch::Tensor most_attended(const torch::Tensor& attention, double share) {
  const auto [values, order] = attention.sort(/*stable=*/true, /*dim=*/-1, /*descending=*/false);
  // Ascending: what is left out are the least attended patches that hold 1 - share of the mass.
  const auto cumulative = (values / values.sum(-1, true)).cumsum(-1);
  const auto kept = cumulative > 1.0 - share;
  return torch::empty_like(kept).scatter_(-1, order, kept);
}

}  // namespace ibot::eval
