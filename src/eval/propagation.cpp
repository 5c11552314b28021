#include "ibot/eval/propagation.h"

#include <ATen/ops/one_hot.h>
#include <ATen/ops/upsample_bilinear2d.h>

#include <array>

#include "eval/window_labels.h"
#include "ibot/base/error.h"

namespace ibot::eval {
namespace {

torch::Tensor unit_rows(const torch::Tensor& features) {
  const auto values = features.to(torch::kFloat);
  return (values / values.norm(2, -1, true).clamp_min(1e-12)).contiguous();
}

/// Pillow: pixel i shows pixel floor((i + 0.5) * from / to).
torch::Tensor nearest_places(int64_t from, int64_t to) {
  const auto scale = static_cast<double>(from) / static_cast<double>(to);
  const auto places = ((torch::arange(to, torch::kDouble) + 0.5) * scale).floor();
  return places.to(torch::kLong).clamp_max(from - 1);
}

}  // namespace

Propagation::Propagation(const PropagationOptions& options, const torch::Tensor& features,
                         const torch::Tensor& labels)
    : options_(options) {
  IBOT_CHECK(features.dim() == 3 && labels.sizes() == features.sizes().slice(0, 2),
             "propagation: expected labels of ", features.sizes().slice(0, 2), " patches, got ",
             labels.sizes());
  // Classes up to the largest label of the resized map: an object that vanishes there is lost.
  const auto one_hot = at::one_hot(labels, labels.max().item<int64_t>() + 1);
  const auto unit = unit_rows(features);
  // Frames are the third dimension: [rows, columns, frames, D] and […, C].
  features_ = unit.unsqueeze(2);
  labels_ = one_hot.to(unit.options()).unsqueeze(2);
  rounded_ = rounded(features_);
}

void Propagation::keep(const torch::Tensor& features, const torch::Tensor& labels) {
  const bool full = features_.size(2) > options_.last_frames;
  const auto put = [&](torch::Tensor& kept, const torch::Tensor& of_frame) {
    if (!kept.defined()) return;
    // The oldest frame makes room, but for the first; their order does not matter.
    if (full) {
      kept.select(2, oldest_).copy_(of_frame);
    } else {
      kept = torch::cat({kept, of_frame.unsqueeze(2).to(kept.scalar_type())}, 2);
    }
  };
  put(features_, features);
  put(labels_, labels);
  put(rounded_, features);
  if (full) oldest_ = oldest_ % options_.last_frames + 1;
}

torch::Tensor Propagation::next(const torch::Tensor& features) {
  const auto targets = unit_rows(features);
  const auto labels = window_labels(targets, {features_, labels_, rounded_}, options_);
  keep(targets, labels);
  return labels.permute({2, 0, 1}).contiguous();
}

torch::Tensor normalized_masks(const torch::Tensor& soft, int64_t scale) {
  const std::array<double, 2> factors{static_cast<double>(scale), static_cast<double>(scale)};
  // [C, rows, columns] to [C, H, W]
  auto masks = at::upsample_bilinear2d(soft.unsqueeze(0), c10::nullopt, false, factors)[0];
  const auto flat = masks.flatten(1);  // [C, pixels]
  const auto least = flat.amin(1, true);
  const auto range = flat.amax(1, true) - least;
  // A class of one value throughout is 0/0 in the reference, whose argmax then takes it.
  const auto scaled = (flat - least) / range;
  return torch::where(flat.amax(1, true) > 0, scaled, flat).view_as(masks);
}

torch::Tensor nearest(const torch::Tensor& map, int64_t height, int64_t width) {
  const auto host = map.to(torch::kCPU);
  return host.index_select(0, nearest_places(map.size(0), height))
      .index_select(1, nearest_places(map.size(1), width));
}

torch::Tensor label_image(const torch::Tensor& masks, int64_t height, int64_t width) {
  // Of equal classes the first wins.
  return nearest(masks.argmax(0).to(torch::kByte), height, width);
}

}  // namespace ibot::eval
