#include "ibot/metrics/segmentation.h"

#include <cmath>
#include <limits>

#include "ibot/base/error.h"

namespace ibot::metrics {
namespace {

double mean_of_defined(const std::vector<double>& values) {
  double sum = 0;
  int64_t count = 0;
  for (const double value : values) {
    // 0 / 0: a class that is neither there nor predicted has no ratio.
    if (std::isnan(value)) continue;
    sum += value;
    ++count;
  }
  return count > 0 ? sum / static_cast<double>(count) : std::numeric_limits<double>::quiet_NaN();
}

std::vector<double> ratios(const torch::Tensor& part, const torch::Tensor& whole) {
  const auto ratio = (part.to(torch::kDouble) / whole.to(torch::kDouble)).contiguous();
  const auto* first = ratio.const_data_ptr<double>();
  return {first, first + ratio.numel()};
}

}  // namespace

SegmentationTotals::SegmentationTotals(int64_t classes, int64_t ignore)
    : classes_(classes), ignore_(ignore), totals_(torch::zeros({4, classes}, torch::kLong)) {
  IBOT_CHECK(classes > 0, "segmentation: expected a class or more, got ", classes);
}

void SegmentationTotals::add(const torch::Tensor& prediction, const torch::Tensor& label) {
  IBOT_CHECK(prediction.sizes() == label.sizes(), "segmentation: expected a prediction of ",
             label.sizes(), ", got ", prediction.sizes());
  const auto labels = label.reshape(-1).to(torch::kCPU, torch::kLong);
  const auto counted = labels.ne(ignore_);
  const auto rows = labels.masked_select(counted);
  const auto columns = prediction.reshape(-1).to(torch::kCPU, torch::kLong).masked_select(counted);
  if (rows.numel() == 0) return;
  const auto check = [&](const torch::Tensor& values, auto fail) {
    const auto low = values.min().item<int64_t>();
    const auto high = values.max().item<int64_t>();
    if (low < 0 || high >= classes_) fail(low < 0 ? low : high);
  };
  check(rows, [&](int64_t value) {
    throw DataError(concat("label map: expected labels below ", classes_, " or ", ignore_, ", got ",
                           value, "; check the number of classes"));
  });
  check(columns, [&](int64_t value) {
    throw Error(concat("segmentation: expected predictions below ", classes_, ", got ", value));
  });
  const auto counts = [&](const torch::Tensor& classes) {
    return torch::bincount(classes, {}, classes_);
  };
  const auto intersection = counts(rows.masked_select(rows.eq(columns)));
  const auto predicted = counts(columns);
  const auto labeled = counts(rows);
  // Intersection, union, predicted and labeled pixels: [4, classes].
  totals_ += torch::stack({intersection, predicted + labeled - intersection, predicted, labeled});
}

void SegmentationTotals::add_totals(const torch::Tensor& totals) { totals_ += totals; }

SegmentationScores SegmentationTotals::scores() const {
  SegmentationScores scores{ratios(totals_[0], totals_[1]), ratios(totals_[0], totals_[3])};
  scores.mean_iou = mean_of_defined(scores.iou);
  scores.mean_accuracy = mean_of_defined(scores.accuracy);
  scores.pixel_accuracy = ratios(totals_[0].sum().view(1), totals_[3].sum().view(1)).front();
  return scores;
}

torch::Tensor labels_of_file(const torch::Tensor& file, int64_t ignore) {
  const auto labels = file.to(torch::kLong);
  // ADE20K's 0 is "other": ignored, and classes count from 1 in files.
  return torch::where(labels.eq(0).logical_or(labels.eq(ignore)), ignore, labels - 1);
}

torch::Tensor pixel_accuracy(const torch::Tensor& scores, const torch::Tensor& label) {
  // mmsegmentation's acc_seg: ignored pixels count as wrong.
  return scores.argmax(1).eq(label).to(torch::kFloat).mean();
}

}  // namespace ibot::metrics
