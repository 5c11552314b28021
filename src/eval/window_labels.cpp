#include "eval/window_labels.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

namespace ibot::eval {
namespace {

// Columns of targets that share their sources. Few waste fewer products outside their windows, many
// are faster products.
constexpr int64_t kStrip = 6;
// The same of blocks whose similarities all exist at a time.
constexpr int64_t kBlockRows = 3;
constexpr int64_t kBlockColumns = 13;
// Similarities that are looked at together.
constexpr int64_t kAtOnce = 16;

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

/// The most similar sources of one target.
class BestSources {
 public:
  BestSources(int64_t count, double temperature)
      : count_(static_cast<size_t>(count)), temperature_(static_cast<float>(temperature)) {}

  /// Looks at `count` similarities of the sources from `first` on.
  void look(const float* similarity, int64_t count, int64_t first) {
    for (int64_t begin = 0; begin < count; begin += kAtOnce) {
      const auto end = std::min(begin + kAtOnce, count);
      int above = 0;
      // Without a branch, so that the compiler can use vectors; most groups have none.
      for (int64_t i = begin; i < end; ++i) above |= similarity[i] >= least_ ? 1 : 0;
      if (above == 0) continue;
      for (int64_t i = begin; i < end; ++i) {
        if (similarity[i] >= least_) add(similarity[i], first + i);
      }
    }
  }

  /// Their mean label, [classes], into `mean`.
  void average(const float* labels, int64_t classes, float* mean) const {
    // Sources kept early may have fallen behind: those at or above the k-th best count, ties
    // included.
    const float least = best_.empty() ? 0 : weight(best_.front());
    float total = 0;
    std::fill_n(mean, classes, 0.0F);
    for (const auto& [similarity, source] : seen_) {
      const float weight = this->weight(similarity);
      if (weight < least) continue;
      total += weight;
      for (int64_t i = 0; i < classes; ++i) mean[i] += weight * labels[source * classes + i];
    }
    for (int64_t i = 0; i < classes; ++i) mean[i] /= total;
  }

 private:
  struct Source {
    float similarity;
    int64_t place;
  };

  float weight(float similarity) const { return std::exp(similarity / temperature_); }

  void add(float similarity, int64_t place) {
    seen_.push_back({similarity, place});
    best_.push_back(similarity);
    std::push_heap(best_.begin(), best_.end(), std::greater<>());
    if (best_.size() > count_) {
      std::pop_heap(best_.begin(), best_.end(), std::greater<>());
      best_.pop_back();
    }
    // Weights can be equal where similarities are not.
    const float slack = 4 * std::numeric_limits<float>::epsilon() * temperature_;
    if (best_.size() == count_) least_ = best_.front() - slack;
  }

  size_t count_;
  float temperature_;
  // What a similarity must reach to be among the best so far.
  float least_ = -std::numeric_limits<float>::infinity();
  std::vector<float> best_;  // a heap, the least first
  std::vector<Source> seen_;
};

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
        best_sources_(targets.size(0) * width_, BestSources(options.topk, options.temperature)) {}

  /// Writes the labels to those columns of [rows, columns, C].
  void write(torch::Tensor& labels) {
    const auto rows = targets_.size(0);
    auto similarity =
        torch::empty({rows * width_, (columns_.to - columns_.from) * frames_}, targets_.options());
    for (int64_t row = 0; row < rows; ++row) look_at(row, similarity);
    const auto classes = labels.size(2);
    for (int64_t row = 0; row < rows; ++row) {
      auto* to =
          labels.mutable_data_ptr<float>() + (row * labels.size(1) + columns_.begin) * classes;
      for (int64_t i = 0; i < width_; ++i) {
        best_sources_[row * width_ + i].average(known_.labels.const_data_ptr<float>(), classes,
                                                to + i * classes);
      }
    }
  }

 private:
  /// Compares the sources of one row with the targets whose windows hold them.
  void look_at(int64_t row, torch::Tensor& room) {
    const auto near = span_of(row, targets_.size(0), 1, row_reach_);
    // [columns · frames, D]
    const auto sources = known_.features[row].slice(0, columns_.from, columns_.to).flatten(0, 1);
    auto similarity = room.narrow(0, 0, (near.to - near.from) * width_);
    at::mm_out(similarity, targets_.slice(0, near.from, near.to).flatten(0, 1), sources.t());
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

  const KnownFrames& known_;
  Span columns_;
  int64_t width_;
  int64_t frames_;
  int64_t row_reach_;
  int64_t column_reach_;
  torch::Tensor targets_;  // [rows, width, D]
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

torch::Tensor window_labels(const torch::Tensor& targets, const KnownFrames& known,
                            const PropagationOptions& options) {
  if (!targets.is_cpu()) return window_labels_by_blocks(targets, known, options);
  auto labels =
      torch::empty({targets.size(0), targets.size(1), known.labels.size(3)}, targets.options());
  const auto strips = spans(targets.size(1), kStrip, radius_of(options, targets.size(1)));
  const auto count = static_cast<int64_t>(strips.size());
  at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    const torch::NoGradGuard no_grad;
    for (int64_t i = begin; i < end; ++i) {
      StripLabels(targets, known, options, strips[i]).write(labels);
    }
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
