#include "ibot/eval/propagation.h"

#include <ATen/ops/one_hot.h>
#include <ATen/ops/upsample_bilinear2d.h>

#include <algorithm>
#include <array>

#include "ibot/base/error.h"

namespace ibot::eval {
namespace {

// Targets of one product. Small blocks waste fewer products outside their windows, large ones are
// faster products.
constexpr int64_t kRows = 3;
constexpr int64_t kColumns = 13;

torch::Tensor unit_rows(const torch::Tensor& features) {
  return features / features.norm(2, -1, true).clamp_min(1e-12);
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
    : options_(options), tensor_options_(features.options()) {
  IBOT_CHECK(features.dim() == 3 && labels.sizes() == features.sizes().slice(0, 2),
             "propagation: expected labels of ", features.sizes().slice(0, 2), " patches, got ",
             labels.sizes());
  const int64_t classes = labels.max().item<int64_t>() + 1;
  const int64_t slots = 1 + options.last_frames;
  rows_ = spans(features.size(0), kRows);
  for (auto& columns : spans(features.size(1), kColumns)) {
    const auto empty = [&](int64_t width) {
      return torch::empty({features.size(0), slots, columns.to - columns.from, width},
                          tensor_options_);
    };
    strips_.push_back({columns, empty(features.size(2)), empty(classes + 1)});
  }
  const auto one_hot = at::one_hot(labels, classes).to(tensor_options_);  // [rows, columns, C]
  keep(0, unit_rows(features), one_hot);
}

std::vector<Propagation::Span> Propagation::spans(int64_t count, int64_t targets) const {
  const int64_t radius = options_.radius > 0 ? options_.radius : count;
  std::vector<Span> spans;
  for (int64_t begin = 0; begin < count; begin += targets) {
    Span span{.begin = begin, .end = std::min(begin + targets, count)};
    span.from = std::max<int64_t>(span.begin - radius, 0);
    span.to = std::min(span.end + radius, count);
    const auto target = torch::arange(span.begin, span.end).unsqueeze(1);
    const auto source = torch::arange(span.from, span.to).unsqueeze(0);
    span.near = ((target - source).abs() <= radius).to(tensor_options_);
    spans.push_back(span);
  }
  return spans;
}

void Propagation::keep(int64_t slot, const torch::Tensor& features, const torch::Tensor& labels) {
  const auto with_one = torch::cat({labels, torch::ones_like(labels.narrow(2, 0, 1))}, 2);
  for (auto& [columns, known, known_labels] : strips_) {
    known.select(1, slot).copy_(features.slice(1, columns.from, columns.to));
    known_labels.select(1, slot).copy_(with_one.slice(1, columns.from, columns.to));
  }
}

torch::Tensor Propagation::labels_of(const Strip& strip, const Span& rows,
                                     const torch::Tensor& features) const {
  const auto sources = [&](const torch::Tensor& known) {
    return known.slice(0, rows.from, rows.to).narrow(1, 0, frames_).flatten(0, 2);  // [S, .]
  };
  const auto targets = features.slice(0, rows.begin, rows.end)
                           .slice(1, strip.columns.begin, strip.columns.end)
                           .flatten(0, 1);                  // [T, D]
  auto affinity = targets.mm(sources(strip.features).t());  // [T, S]
  affinity.div_(options_.temperature).exp_();
  // [target row, target column, source row, frame, source column]
  const auto& near_rows = rows.near;
  const auto& near_columns = strip.columns.near;
  affinity
      .view({near_rows.size(0), near_columns.size(0), near_rows.size(1), frames_,
             near_columns.size(1)})
      .mul_((near_rows.view({near_rows.size(0), 1, near_rows.size(1), 1, 1}) *
             near_columns.view({1, near_columns.size(0), 1, 1, near_columns.size(1)})));
  const auto k = std::min(options_.topk, affinity.size(1));
  const auto best = std::get<0>(affinity.topk(k, 1, true, false));
  const auto least = best.amin(1, true);
  affinity.masked_fill_(affinity < least, 0.0);
  const auto sums = affinity.mm(sources(strip.labels));  // [T, C + 1]
  const auto classes = sums.size(1) - 1;
  return (sums.narrow(1, 0, classes) / sums.narrow(1, classes, 1))
      .view({near_rows.size(0), near_columns.size(0), classes});
}

torch::Tensor Propagation::next(const torch::Tensor& features) {
  const auto targets = unit_rows(features);
  std::vector<torch::Tensor> blocks;
  for (const auto& rows : rows_) {
    std::vector<torch::Tensor> row;
    for (const auto& strip : strips_) row.push_back(labels_of(strip, rows, targets));
    blocks.push_back(torch::cat(row, 1));
  }
  const auto labels = torch::cat(blocks, 0);  // [rows, columns, C]
  // The oldest frame makes room, but for the first; their order does not matter.
  const int64_t slots = 1 + options_.last_frames;
  const int64_t slot = 1 + (known_ - 1) % options_.last_frames;
  keep(slot, targets, labels);
  ++known_;
  frames_ = std::min(known_, slots);
  return labels.permute({2, 0, 1}).contiguous();
}

torch::Tensor normalized_masks(const torch::Tensor& soft, int64_t scale) {
  const std::array<double, 2> factors{static_cast<double>(scale), static_cast<double>(scale)};
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
  return nearest(masks.argmax(0).to(torch::kByte), height, width);
}

}  // namespace ibot::eval
