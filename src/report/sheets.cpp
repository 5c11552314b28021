#include "ibot/report/sheets.h"

#include <algorithm>
#include <cmath>

#include "ibot/eval/attention_picture.h"
#include "ibot/eval/features.h"

namespace ibot::report {
namespace {

// Pixels between tiles, and of the frame around one.
constexpr int64_t kMargin = 6;
constexpr int64_t kFrame = 3;
constexpr int64_t kShownSide = 160;  // of a picture that is easily seen
constexpr double kFade = 0.75;       // of masked patches
constexpr double kFadeTo = 205;      // light gray

/// The crop with masked patches faded: [scale · h, scale · w, 3].
///
///   crop  [3, h, w]   uint8
///   mask  [N]         bool, of a square grid; undefined: none
torch::Tensor seen(const torch::Tensor& crop, const torch::Tensor& mask, int64_t scale) {
  const auto pixels = eval::enlarged(crop, scale).permute({1, 2, 0});
  if (!mask.defined() || mask.numel() == 0) return pixels.contiguous();
  const auto side = std::llround(std::sqrt(static_cast<double>(mask.numel())));
  const auto patch = pixels.size(0) / side;
  const auto faded = (pixels.to(torch::kFloat) * (1 - kFade) + kFade * kFadeTo).to(torch::kByte);
  const auto covered = mask.view({side, side})
                           .repeat_interleave(patch, 0)
                           .repeat_interleave(patch, 1)
                           .unsqueeze(-1);  // [h, w, 1]
  return torch::where(covered, faded, pixels).contiguous();
}

/// Crops of one image, one above the other until `height` is used up.
torch::Tensor stacked(const std::vector<torch::Tensor>& crops, int64_t height) {
  const auto of_column =
      std::max<int64_t>(1, (height + kMargin) / (crops.front().size(0) + kMargin));
  std::vector<std::vector<torch::Tensor>> rows(
      std::min<size_t>(static_cast<size_t>(of_column), crops.size()));
  // Column by column: the first crops stand below each other.
  for (size_t i = 0; i < crops.size(); ++i) rows[i % rows.size()].push_back(crops[i]);
  return tiled(rows);
}

/// Crops of image `b`: views [V·B, 3, h, w] in crop-major order, masks [V·B, n] likewise.
std::vector<torch::Tensor> crops_of(const torch::Tensor& views, const torch::Tensor& masks,
                                    int64_t b, int64_t batch, int64_t scale) {
  std::vector<torch::Tensor> crops;
  for (int64_t at = b; views.defined() && at < views.size(0); at += batch) {
    crops.push_back(seen(views[at], masks.defined() ? masks[at] : torch::Tensor(), scale));
  }
  return crops;
}

torch::Tensor framed(const torch::Tensor& tile, bool same) {
  auto picture = tile.permute({1, 2, 0}).clone();  // [h, w, 3]
  const auto color = same ? torch::tensor({23, 138, 76}, torch::kByte)
                          : torch::tensor({209, 72, 15}, torch::kByte);
  for (const int64_t side : {0, 1}) {
    picture.narrow(side, 0, kFrame).copy_(color);
    picture.narrow(side, picture.size(side) - kFrame, kFrame).copy_(color);
  }
  return picture;
}

}  // namespace

torch::Tensor tiled(const std::vector<std::vector<torch::Tensor>>& rows) {
  int64_t height = kMargin, width = kMargin;
  std::vector<int64_t> heights;
  for (const auto& row : rows) {
    int64_t row_width = kMargin, row_height = 0;
    for (const auto& tile : row) {
      row_width += tile.size(1) + kMargin;
      row_height = std::max(row_height, tile.size(0));
    }
    heights.push_back(row_height);
    height += row_height + kMargin;
    width = std::max(width, row_width);
  }
  auto sheet = torch::full({height, width, 3}, 255, torch::kByte);
  int64_t y = kMargin;
  for (size_t r = 0; r < rows.size(); ++r) {
    int64_t x = kMargin;
    for (const auto& tile : rows[r]) {
      sheet.narrow(0, y, tile.size(0)).narrow(1, x, tile.size(1)).copy_(tile);
      x += tile.size(1) + kMargin;
    }
    y += heights[r] + kMargin;
  }
  return sheet;
}

int64_t shown_scale(int64_t side) { return std::max<int64_t>(1, kShownSide / side); }

torch::Tensor crop_sheet(const batch::MultiCropBatch& batch) {
  const auto images = batch.sample_id.size(0);
  const auto scale = shown_scale(batch.global.size(2));
  std::vector<std::vector<torch::Tensor>> rows;
  for (int64_t b = 0; b < images; ++b) {
    auto& row = rows.emplace_back(crops_of(batch.global, batch.mask, b, images, scale));
    const auto local = crops_of(batch.local, batch.local_mask, b, images, scale);
    if (!local.empty()) row.push_back(stacked(local, scale * batch.global.size(2)));
  }
  return tiled(rows);
}

torch::Tensor neighbor_sheet(const torch::Tensor& tiles, const torch::Tensor& features,
                             const torch::Tensor& labels, const std::vector<int64_t>& queries,
                             int64_t neighbors) {
  const auto unit = eval::unit_length(features.to(torch::kFloat));
  const auto gap = torch::full({tiles.size(2), 2 * kMargin, 3}, 255, torch::kByte);
  std::vector<std::vector<torch::Tensor>> rows;
  for (const auto query : queries) {
    auto cosine = unit.mv(unit[query]);
    cosine[query] = -2;  // not its own neighbor
    const auto nearest =
        std::get<1>(cosine.topk(std::min(neighbors, unit.size(0) - 1))).contiguous();
    auto& row = rows.emplace_back(std::vector{tiles[query].permute({1, 2, 0}).contiguous(), gap});
    for (int64_t i = 0; i < nearest.size(0); ++i) {
      const auto other = nearest[i].item<int64_t>();
      row.push_back(labels.defined()
                        ? framed(tiles[other], torch::equal(labels[other], labels[query]))
                        : tiles[other].permute({1, 2, 0}).contiguous());
    }
  }
  return tiled(rows);
}

}  // namespace ibot::report
