#include "ibot/eval/attention_picture.h"

#include <algorithm>
#include <limits>

#include "ibot/base/error.h"
#include "ibot/eval/occlusion.h"

namespace ibot::eval {
namespace {

// The picture of the paper's figure: brightness of the image, least share shown, gray levels used.
constexpr double kBackground = 0.1;
constexpr double kShown = 0.2;  // of a head's range
constexpr double kPaleRange = 64.0;

/// [3, H, W] → [H, W] float64: whole gray levels, all of them pale, darkened.
torch::Tensor background_of(const torch::Tensor& image) {
  const auto low = image.min();
  const auto range = (image.max() - low).clamp_min(std::numeric_limits<float>::min());
  const auto pale = (image - low) / range * kPaleRange + (256.0 - kPaleRange);
  return pale.mean(0).to(torch::kInt).to(torch::kDouble) * kBackground;
}

}  // namespace

const std::vector<Color>& head_colors() {
  static const std::vector<Color> colors{{0, 160, 215},  {220, 55, 60},  {245, 180, 0},
                                         {10, 120, 190}, {40, 150, 100}, {135, 75, 145}};
  return colors;
}

torch::Tensor winning_head(const torch::Tensor& maps) {
  const auto heads = maps.size(0);
  const auto number = torch::arange(heads, torch::TensorOptions(torch::kLong).device(maps.device()))
                          .view({-1, 1, 1})
                          .expand_as(maps);
  const auto largest = maps.amax(0, true);
  // Of heads that share the largest value the first wins; where nothing is attended, none.
  return number.masked_fill(maps != largest, heads)
      .amin(0)
      .masked_fill(largest.squeeze(0) <= 0, -1);  // [h, w]
}

torch::Tensor enlarged(const torch::Tensor& map, int64_t patch) {
  return map.repeat_interleave(patch, -2).repeat_interleave(patch, -1);
}

torch::Tensor attention_picture(const torch::Tensor& image, const torch::Tensor& attention,
                                double share, const std::vector<Color>& colors) {
  const auto heads = attention.size(0);
  IBOT_CHECK(heads <= static_cast<int64_t>(colors.size()), "attention picture: expected at most ",
             colors.size(), " heads, as there are colors, got ", heads);
  const auto patch = image.size(1) / attention.size(1);
  IBOT_CHECK(
      image.size(1) == patch * attention.size(1) && image.size(2) == patch * attention.size(2),
      "attention picture: expected an image of whole patches, ", attention.sizes(), ", got ",
      image.sizes());
  const auto maps = attention.to(torch::kCPU, torch::kFloat);
  const auto kept = maps * most_attended(maps.flatten(1), share).view_as(maps);
  const auto winner = winning_head(kept);
  const auto background = background_of(image.to(torch::kCPU, torch::kFloat));
  auto picture = background.unsqueeze(-1).repeat({1, 1, 3});  // [H, W, 3]
  for (int64_t head = 0; head < heads; ++head) {
    const auto own = kept[head] * (winner == head);
    const auto range = own.max() - own.min();
    if (range.item<float>() <= 0) continue;  // wins nowhere, or everywhere alike
    const auto scaled = (own - own.min()) / range;
    // Opacity √m of a head's color where it wins, nothing below 0.2 of its range: [H, W].
    const auto strength = enlarged(scaled.sqrt() * (scaled > kShown), patch).to(torch::kDouble);
    const auto& [red, green, blue] = colors[static_cast<size_t>(head)];
    const auto color = torch::tensor({red, green, blue}, torch::kDouble);
    picture = picture * (1.0 - strength).unsqueeze(-1) + strength.unsqueeze(-1) * color;
  }
  return picture.to(torch::kByte);
}

torch::Tensor in_own_range(const torch::Tensor& image) {
  const auto values = image.to(torch::kCPU, torch::kFloat);
  const auto low = values.min().item<double>();
  // As torchvision's save_image with normalize: the floor keeps a flat image from 0 / 0.
  const auto range = std::max(values.max().item<double>() - low, 1e-5);
  return ((values - low) / range)
      .mul(255.0)
      .add(0.5)
      .clamp(0, 255)
      .to(torch::kByte)
      .permute({1, 2, 0})
      .contiguous();
}

}  // namespace ibot::eval
