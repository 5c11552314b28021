// How well predicted label maps agree with annotated ones.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace ibot::metrics {

/// Shares, from 0 to 1; NaN where they are undefined.
///
///   iou       per class: intersection / union; undefined where the class is neither labeled nor
///             predicted
///   accuracy  per class: intersection / labeled; undefined where it is not labeled
///   mean_iou, mean_accuracy  over the classes where they are defined
///   pixel_accuracy           correct pixels / labeled pixels
struct SegmentationScores {
  std::vector<double> iou;
  std::vector<double> accuracy;
  double mean_iou = 0;
  double mean_accuracy = 0;
  double pixel_accuracy = 0;
};

/// Areas over a whole data set, added image by image; the ratios are taken of the totals.
///
/// Source: mmsegmentation 0.12 (mIoU, mAcc, aAcc).
class SegmentationTotals {
 public:
  /// Labels are 0 … classes - 1; pixels labeled `ignore` count nowhere.
  explicit SegmentationTotals(int64_t classes, int64_t ignore = 255);

  ///   prediction, label  of one shape, any integer type
  /// Throws DataError for a label that is neither a class nor `ignore`, Error for such a prediction
  /// or maps of different shapes.
  void add(const torch::Tensor& prediction, const torch::Tensor& label);
  /// Adds what totals() of another one gave.
  void add_totals(const torch::Tensor& totals);

  /// [4, classes] int64: intersection, union, predicted, labeled.
  const torch::Tensor& totals() const { return totals_; }
  SegmentationScores scores() const;

 private:
  int64_t classes_;
  int64_t ignore_;
  torch::Tensor totals_;  // [4, classes] int64, as totals()
};

/// The labels of a file that has 0 for pixels without a class and k for class k - 1, as ADE20K has:
/// 0 becomes `ignore`, k becomes k - 1, `ignore` stays.
///
///   file  any shape, uint8
torch::Tensor labels_of_file(const torch::Tensor& file, int64_t ignore = 255);

/// The share of all pixels, ignored ones included, whose highest score is their label's.
///
///   scores  [B, K, ...]
///   label   [B, ...]     int64
///   returns []           float32, on the device of the scores
///
/// Source: mmsegmentation 0.12, the `acc_seg` of its training log.
torch::Tensor pixel_accuracy(const torch::Tensor& scores, const torch::Tensor& label);

}  // namespace ibot::metrics
