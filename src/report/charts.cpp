#include "ibot/report/charts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <set>

#include "ibot/base/error.h"
#include "ibot/base/natural_order.h"

namespace ibot::report {
namespace {

// What a browser draws without delay: many curves have fewer points each.
constexpr size_t kAllPoints = 240'000;  // numbers of all curves
constexpr size_t kMostPoints = 4000;    // of a curve
constexpr size_t kFewestPoints = 60;
constexpr size_t kSharedChart =
    6;  // quantities whose names differ in a number, one chart from here

/// A column of logs: where it belongs and how it is called. A key that ends in '*' is a prefix.
struct Quantity {
  const char* key;
  const char* group;
  const char* title;
};

constexpr const char* kLosses = "Losses";
constexpr const char* kHealth = "Health";
constexpr const char* kSchedules = "Schedules";
constexpr const char* kSpeed = "Speed and memory";
constexpr const char* kEpochs = "Epochs";
constexpr const char* kEvaluations = "Evaluations";
constexpr const char* kOther = "Other";
constexpr std::array<const char*, 7> kGroups{kLosses,    kEvaluations, kHealth, kEpochs,
                                             kSchedules, kSpeed,       kOther};

constexpr std::array<Quantity, 18> kQuantities{
    {{"loss", kLosses, "loss"},
     {"loss_z", kHealth, "loss spikes, standard deviations"},
     {"loss_*", kLosses, nullptr},
     {"lr", kSchedules, "learning rate"},
     {"weight_decay", kSchedules, "weight decay"},
     {"momentum", kSchedules, "momentum of the teacher"},
     {"grad_norm", kHealth, "gradient norm"},
     {"entropy_cls", kHealth, "entropy of class targets, nats"},
     {"entropy_patch", kHealth, "entropy of patch targets, nats"},
     {"information_cls", kHealth, "information of class targets, nats"},
     {"feature_rank", kHealth, "effective rank of features"},
     {"center_norm*", kHealth, nullptr},
     {"skipped", kHealth, "skipped steps"},
     {"images_per_s", kSpeed, "images per second"},
     {"data_wait", kSpeed, "share of time waiting for data"},
     {"memory_bytes", kSpeed, "peak memory, bytes"},
     {"flops_per_s", kSpeed, "FLOP per second"},
     {"mfu", kSpeed, "share of the device's FLOP per second"}}};

bool fits(const char* pattern, const std::string& key) {
  const std::string text(pattern);
  return text.back() == '*' ? key.starts_with(text.substr(0, text.size() - 1)) : key == text;
}

const Quantity* quantity_of(const std::string& key) {
  for (const auto& quantity : kQuantities) {
    if (fits(quantity.key, key)) return &quantity;
  }
  return nullptr;
}

/// Place in the table of quantities, which is the order of charts.
size_t rank_of(const std::string& key) {
  const auto* quantity = quantity_of(key);
  return quantity == nullptr ? kQuantities.size()
                             : static_cast<size_t>(quantity - kQuantities.data());
}

/// A quantity of all runs before it is a chart: a series each, empty where a run lacks it.
struct Column {
  std::string key;
  std::string group;
  std::string title;
  std::string x_label;
  std::vector<Series> runs;
};

using Columns = std::vector<Column>;

Column& column_of(Columns& columns, Column wanted, size_t runs) {
  for (auto& column : columns) {
    if (column.key == wanted.key && column.x_label == wanted.x_label) return column;
  }
  wanted.runs.resize(runs);
  return columns.emplace_back(std::move(wanted));
}

/// Whether the column of log.txt repeats one of metrics.jsonl.
bool repeats_steps(const RunRecord& run, const std::string& key) {
  static const std::set<std::string> repeated{"train_loss",      "train_lr",
                                              "train_wd",        "train_weight_decay",
                                              "train_grad_norm", "n_parameters"};
  const auto& evaluations = run.evaluations;
  const bool evaluated = std::any_of(evaluations.begin(), evaluations.end(),
                                     [](const EvaluationResult& one) { return one.step >= 0; });
  if (key.starts_with("test_") && evaluated) return true;
  return repeated.contains(key) ||
         (key.starts_with("train_") && run.by_step.contains("loss_" + key.substr(6)));
}

void add_steps(const std::vector<RunRecord>& runs, Columns& columns) {
  for (size_t i = 0; i < runs.size(); ++i) {
    for (const auto& [key, series] : runs[i].by_step) {
      // It only counts.
      if (key == "epoch") continue;
      const auto* quantity = quantity_of(key);
      const auto title = quantity != nullptr && quantity->title != nullptr ? quantity->title : key;
      const auto group = quantity != nullptr ? quantity->group : kOther;
      column_of(columns, {key, group, title, "step", {}}, runs.size()).runs[i] = series;
    }
  }
}

void add_epochs(const std::vector<RunRecord>& runs, Columns& columns) {
  // Of a run that has log.txt alone, such as the official program's, all of it is compared.
  const bool all_by_step = std::none_of(runs.begin(), runs.end(), [](const RunRecord& run) {
    return run.by_step.empty() && !run.by_epoch.empty();
  });
  for (size_t i = 0; i < runs.size(); ++i) {
    for (const auto& [key, series] : runs[i].by_epoch) {
      if (key == "train_adjacc") continue;  // -1 in every pre-training
      if (all_by_step && repeats_steps(runs[i], key)) continue;
      auto& shown = column_of(columns, {key, kEpochs, key, "epoch", {}}, runs.size()).runs[i] =
          series;
      for (auto& epoch : shown.x) ++epoch;  // counted from 1 for readers
    }
  }
}

/// Of a step that was evaluated again, as by a run that went on from before it, the newer counts.
void set_point(Series& series, double x, double y) {
  const auto at = std::lower_bound(series.x.begin(), series.x.end(), x) - series.x.begin();
  if (at < std::ssize(series.x) && series.x[at] == x) {
    series.y[at] = y;
    return;
  }
  series.x.insert(series.x.begin() + at, x);
  series.y.insert(series.y.begin() + at, y);
}

void add_evaluations(const std::vector<RunRecord>& runs, Columns& columns) {
  for (size_t i = 0; i < runs.size(); ++i) {
    for (const auto& evaluation : runs[i].evaluations) {
      if (evaluation.step < 0) continue;
      for (const auto& [metric, value] : evaluation.metrics) {
        const auto key = evaluation.name + " " + metric;
        auto& series =
            column_of(columns, {key, kEvaluations, key, "step", {}}, runs.size()).runs[i];
        set_point(series, static_cast<double>(evaluation.step), value);
      }
    }
  }
}

/// The value that all points of all runs have, if they have one.
std::optional<double> constant_of(const Column& column) {
  std::optional<double> constant;
  for (const auto& series : column.runs) {
    for (const double value : series.y) {
      if (!std::isfinite(value) || (constant && *constant != value)) return std::nullopt;
      constant = value;
    }
  }
  return constant;
}

/// The name with its first number replaced, and that number; nullopt without one.
std::optional<std::pair<std::string, std::string>> numbered(const std::string& name) {
  const auto begin = name.find_first_of("0123456789");
  if (begin == std::string::npos) return std::nullopt;
  const auto end = std::min(name.find_first_not_of("0123456789", begin), name.size());
  // "loss_view_3" and "loss_view_7" are one pattern.
  return std::pair{name.substr(0, begin) + "…" + name.substr(end), name.substr(begin, end - begin)};
}

/// Columns to charts.
class ChartBuilder {
 public:
  ChartBuilder(const std::vector<RunRecord>& runs, const Columns& columns)
      : runs_(runs), columns_(columns) {
    size_t curves = 1;
    for (const auto& column : columns) {
      if (const auto pattern = numbered(column.title)) ++alike_[pattern->first];
      for (const auto& series : column.runs) curves += series.x.empty() ? 0 : 1;
    }
    // Shared by all curves, within bounds.
    most_ = std::clamp(kAllPoints / curves, kFewestPoints, kMostPoints);
  }

  ChartGroup group(const char* title) const {
    ChartGroup group{title, {}, {}};
    for (const auto& column : columns_) {
      if (column.group != title) continue;
      const auto value = constant_of(column);
      if (!value) {
        add_chart(column, group);
      } else if (column.group != kEvaluations) {  // tables have the values of evaluations
        group.constant.push_back(concat(column.title, " ", *value));
      }
    }
    return group;
  }

 private:
  void add_chart(const Column& column, ChartGroup& group) const {
    const auto pattern = numbered(column.title);
    const bool shared = pattern && alike_.at(pattern->first) >= kSharedChart;
    const auto& name = shared ? pattern->first : column.title;
    const auto known = std::find_if(group.charts.begin(), group.charts.end(),
                                    [&](const auto& chart) { return chart.title == name; });
    auto& chart =
        known != group.charts.end()
            ? *known
            : group.charts.emplace_back(eval::LineChart{name, column.x_label, column.title, {}});
    add_curves(column, shared ? " · " + pattern->second : "", chart);
  }

  void add_curves(const Column& column, const std::string& variant, eval::LineChart& chart) const {
    size_t longest = 0;
    for (size_t i = 0; i < runs_.size(); ++i) {
      const auto& series = column.runs[i];
      if (series.x.empty()) continue;
      auto curve = curve_of(runs_[i].name + variant, series, most_);
      if (!curve.low.empty()) longest = std::max(longest, series.x.size());
      if (variant.empty()) curve.color = i;  // a run has its color in every chart
      chart.curves.push_back(std::move(curve));
    }
    if (longest == 0) return;
    chart.note = concat("mean, smallest and largest of ", std::max<size_t>(most_ / 4, 2),
                        " intervals of up to ", longest, " points");
  }

  const std::vector<RunRecord>& runs_;
  const Columns& columns_;
  std::map<std::string, size_t> alike_;  // columns by pattern of their names
  size_t most_ = 0;                      // points of a curve
};

}  // namespace

eval::Curve curve_of(const std::string& name, const Series& series, size_t most) {
  const size_t count = series.x.size();
  eval::Curve curve{name, {}, {}, {}, {}};
  if (count <= most) {
    curve.x = series.x;
    curve.y = series.y;
    return curve;
  }
  // An interval has four numbers: place, mean, smallest and largest.
  const size_t intervals = std::max<size_t>(most / 4, 2);
  for (size_t part = 0; part < intervals; ++part) {
    const size_t begin = count * part / intervals, end = count * (part + 1) / intervals;
    double sum = 0, low = INFINITY, high = -INFINITY;
    size_t finite = 0;
    for (size_t i = begin; i < end; ++i) {
      if (!std::isfinite(series.y[i])) continue;
      ++finite;
      sum += series.y[i];
      low = std::min(low, series.y[i]);
      high = std::max(high, series.y[i]);
    }
    curve.x.push_back(series.x[(begin + end) / 2]);
    curve.y.push_back(sum / static_cast<double>(finite));  // NaN without any
    curve.low.push_back(finite > 0 ? low : NAN);
    curve.high.push_back(finite > 0 ? high : NAN);
  }
  return curve;
}

std::vector<ChartGroup> run_charts(const std::vector<RunRecord>& runs) {
  Columns columns;
  add_steps(runs, columns);
  add_epochs(runs, columns);
  add_evaluations(runs, columns);
  // In the order of the table, then by name.
  std::stable_sort(columns.begin(), columns.end(), [](const Column& a, const Column& b) {
    const auto one = rank_of(a.key), other = rank_of(b.key);
    return one != other ? one < other : natural_less(a.key, b.key);
  });
  const ChartBuilder builder(runs, columns);
  std::vector<ChartGroup> groups;
  for (const char* title : kGroups) {
    auto group = builder.group(title);
    if (!group.charts.empty() || !group.constant.empty()) groups.push_back(std::move(group));
  }
  return groups;
}

}  // namespace ibot::report
