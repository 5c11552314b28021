#include "eval/window_labels.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "eval/best_sources.h"
#include "kernels/row_products.h"

namespace ibot::eval {
namespace {

// Columns of targets that share their sources. Few waste fewer products outside their windows, many
// are faster products.
constexpr int64_t kStrip = 4;
// The same of blocks whose similarities all exist at a time.
constexpr int64_t kBlockRows = 3;
constexpr int64_t kBlockColumns = 13;
// How far a product of two vectors of length 1 in bfloat16 can be from that in float32: 2^-8 for
// rounding each factor, by Cauchy-Schwarz; the rest is for terms of second order and for sums of up
// to 2048 numbers in float32.
constexpr float kRounding = 2.1F / 256;

/// A range of rows or columns of targets, and of the sources around it.
struct Span {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t from = 0;
  int64_t to = 0;
};

/// 0 is no limit.
int64_t radius_of(const PropagationOptions& options, int64_t count) {
  return options.radius > 0 ? options.radius : count;
}

Span span_of(int64_t begin, int64_t count, int64_t targets, int64_t radius) {
  const auto end = std::min(begin + targets, count);
  return {begin, end, std::max<int64_t>(begin - radius, 0), std::min(end + radius, count)};
}

std::vector<Span> spans(int64_t count, int64_t targets, int64_t radius) {
  std::vector<Span> spans;
  for (int64_t begin = 0; begin < count; begin += targets) {
    spans.push_back(span_of(begin, count, targets, radius));
  }
  return spans;
}

/// Products of rows in bfloat16, in float32.
torch::Tensor rounded_products(const torch::Tensor& left, const torch::Tensor& right) {
  auto products = torch::empty({left.size(0), right.size(0)});
  kernels::row_products()({.width = left.size(1),
                           .left = left.const_data_ptr<c10::BFloat16>(),
                           .left_rows = left.size(0),
                           .right = right.const_data_ptr<c10::BFloat16>(),
                           .right_rows = right.size(0),
                           .products = products.mutable_data_ptr<float>()});
  return products;
}

/// The targets of some columns.
class StripLabels {
 public:
  StripLabels(const torch::Tensor& targets, const KnownFrames& known,
              const PropagationOptions& options, const Span& columns)
      : known_(known),
        columns_(columns),
        width_(columns.end - columns.begin),
        frames_(known.features.size(2)),
        row_reach_(radius_of(options, targets.size(0))),
        column_reach_(radius_of(options, targets.size(1))),
        targets_(targets.slice(1, columns.begin, columns.end).contiguous()),
        best_sources_(targets.size(0) * width_,
                      BestSources(options.topk, options.temperature,
                                  known.rounded.defined() ? kRounding : 0.0F)) {
    if (known.rounded.defined()) rounded_targets_ = targets_.to(known.rounded.scalar_type());
  }

  /// Compares the sources of one row with the targets whose windows hold them.
  void look_at(int64_t row) {
    const auto near = span_of(row, targets_.size(0), 1, row_reach_);
    const auto similarity = compared(row, near);
    const auto* line = similarity.const_data_ptr<float>();
    for (int64_t target = near.from; target < near.to; ++target) {
      for (int64_t i = 0; i < width_; ++i, line += similarity.size(1)) {
        const auto window = span_of(columns_.begin + i, known_.features.size(1), 1, column_reach_);
        // Sources of a window's row follow each other, frame by frame within a column.
        const auto place = (row * known_.features.size(1) + window.from) * frames_;
        best_sources_[target * width_ + i].look(line + (window.from - columns_.from) * frames_,
                                                (window.to - window.from) * frames_, place);
      }
    }
  }

  /// Writes the labels to those columns of [rows, columns, C], when all rows were looked at.
  void write(torch::Tensor& labels) {
    if (known_.rounded.defined()) settle();
    const auto classes = labels.size(2);
    for (int64_t row = 0; row < targets_.size(0); ++row) {
      auto* to =
          labels.mutable_data_ptr<float>() + (row * labels.size(1) + columns_.begin) * classes;
      for (int64_t i = 0; i < width_; ++i) {
        best_sources_[row * width_ + i].average(known_.labels.const_data_ptr<float>(), classes,
                                                to + i * classes);
      }
    }
  }

 private:
  /// Similarities of the targets of some rows and the sources of one, [targets, sources].
  torch::Tensor compared(int64_t row, const Span& near) const {
    const auto of_rows = [&](const torch::Tensor& targets) {
      return targets.slice(0, near.from, near.to).flatten(0, 1);
    };
    const auto of_row = [&](const torch::Tensor& sources) {
      return sources[row].slice(0, columns_.from, columns_.to).flatten(0, 1);  // [sources, D]
    };
    if (!known_.rounded.defined()) return of_rows(targets_).mm(of_row(known_.features).t());
    return rounded_products(of_rows(rounded_targets_), of_row(known_.rounded));
  }

  void settle() {
    const auto* target = targets_.const_data_ptr<float>();
    for (auto& best : best_sources_) {
      best.settle(target, known_.features.const_data_ptr<float>(), targets_.size(2));
      target += targets_.size(2);
    }
  }

  const KnownFrames& known_;
  Span columns_;
  int64_t width_;
  int64_t frames_;
  int64_t row_reach_;
  int64_t column_reach_;
  torch::Tensor targets_;  // [rows, width, D]
  torch::Tensor rounded_targets_;
  std::vector<BestSources> best_sources_;
};

/// 1 where a source is within the radius of a target, [targets, sources].
torch::Tensor in_reach(const Span& span, int64_t radius, const torch::TensorOptions& options) {
  const auto target = torch::arange(span.begin, span.end).unsqueeze(1);
  const auto source = torch::arange(span.from, span.to).unsqueeze(0);
  return ((target - source).abs() <= radius).to(options);
}

torch::Tensor block_labels(const torch::Tensor& targets, const KnownFrames& known,
                           const PropagationOptions& options, const Span& rows,
                           const Span& columns) {
  const auto sources = [&](const torch::Tensor& of_frames) {
    return of_frames.slice(0, rows.from, rows.to).slice(1, columns.from, columns.to).flatten(0, 2);
  };
  const auto block =
      targets.slice(0, rows.begin, rows.end).slice(1, columns.begin, columns.end).flatten(0, 1);
  auto affinity = block.mm(sources(known.features).t());  // [T, S]
  affinity.div_(options.temperature).exp_();
  const auto near_rows = in_reach(rows, radius_of(options, targets.size(0)), affinity.options());
  const auto near_columns =
      in_reach(columns, radius_of(options, targets.size(1)), affinity.options());
  // [target row, target column, source row, source column, frame]
  affinity
      .view({near_rows.size(0), near_columns.size(0), near_rows.size(1), near_columns.size(1), -1})
      .mul_(near_rows.view({near_rows.size(0), 1, near_rows.size(1), 1, 1}) *
            near_columns.view({1, near_columns.size(0), 1, near_columns.size(1), 1}));
  const auto k = std::min(options.topk, affinity.size(1));
  // The k-th largest weight; outside of the window weights are 0.
  const auto least = std::get<0>(affinity.topk(k, 1, true, false)).amin(1, true);
  affinity.masked_fill_(affinity < least, 0.0);
  const auto labels = affinity.mm(sources(known.labels)) / affinity.sum(1, true);  // [T, C]
  return labels.view({near_rows.size(0), near_columns.size(0), -1});
}

}  // namespace

torch::Tensor rounded(const torch::Tensor& features) {
  if (!features.is_cpu() || kernels::row_products() == nullptr) return {};
  return features.to(torch::kBFloat16);
}

torch::Tensor window_labels(const torch::Tensor& targets, const KnownFrames& known,
                            const PropagationOptions& options) {
  if (!targets.is_cpu()) return window_labels_by_blocks(targets, known, options);
  auto labels =
      torch::empty({targets.size(0), targets.size(1), known.labels.size(3)}, targets.options());
  const auto columns = spans(targets.size(1), kStrip, radius_of(options, targets.size(1)));
  at::parallel_for(0, static_cast<int64_t>(columns.size()), 1, [&](int64_t begin, int64_t end) {
    const torch::NoGradGuard no_grad;
    std::vector<StripLabels> strips;
    for (int64_t i = begin; i < end; ++i) strips.emplace_back(targets, known, options, columns[i]);
    // Row by row, so that the sources of a row are in the cache for all strips.
    for (int64_t row = 0; row < targets.size(0); ++row) {
      for (auto& strip : strips) strip.look_at(row);
    }
    for (auto& strip : strips) strip.write(labels);
  });
  return labels;
}

torch::Tensor window_labels_by_blocks(const torch::Tensor& targets, const KnownFrames& known,
                                      const PropagationOptions& options) {
  const auto strips = spans(targets.size(1), kBlockColumns, radius_of(options, targets.size(1)));
  std::vector<torch::Tensor> blocks;
  for (const auto& rows : spans(targets.size(0), kBlockRows, radius_of(options, targets.size(0)))) {
    std::vector<torch::Tensor> row;
    for (const auto& columns : strips) {
      row.push_back(block_labels(targets, known, options, rows, columns));
    }
    blocks.push_back(torch::cat(row, 1));
  }
  return torch::cat(blocks, 0);
}

}  // namespace ibot::eval
