// What tests of robustness report of a classifier's predictions.
#pragma once

#include <torch/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "ibot/batch/normalization.h"

namespace ibot::eval {

/// Percent of predictions whose class, by `class_of` of the prediction, is the target; where that
/// is negative the prediction is wrong.
///
///   predictions, targets  [S]   int64
///   class_of              [K]   int64
double mapped_accuracy(const torch::Tensor& predictions, const torch::Tensor& targets,
                       const torch::Tensor& class_of);

/// Percent of foregrounds that some background takes out of their class.
///
///   predicted  [F, B]   int64: classes of each foreground before each background
///   classes    [F]      int64
double vulnerable_percent(const torch::Tensor& predicted, const torch::Tensor& classes);

/// A foreground before each background, as the network takes it: clamped to [0, 1], normalized.
///
///   foreground   [1, 3, H, W]   in [0, 1]
///   backgrounds  [B, 3, H, W]
///   mask         [1, 1, H, W]   1 where the foreground is
///   returns      [B, 3, H, W]
torch::Tensor composites(const torch::Tensor& foreground, const torch::Tensor& backgrounds,
                         const torch::Tensor& mask, const batch::Normalization& normalization);

/// Errors in percent: of each corruption the mean over its severities, and the mean over
/// corruptions, of all and of the first `benchmark`; NaN marks what is missing and is left out.
/// A mean over nothing is none.
///
///   error  [C, V]   in [0, 1]
struct CorruptionErrors {
  std::vector<std::optional<double>> each;
  std::optional<double> mean;
  std::optional<double> benchmark_mean;
};
CorruptionErrors corruption_errors(const torch::Tensor& error, int64_t benchmark);

/// The prediction among some classes, as its place in `classes`, and its softmax over these alone.
///
///   logits   [S, K]
///   classes  [P] int64
struct RestrictedPrediction {
  torch::Tensor prediction;
  torch::Tensor confidence;
};
RestrictedPrediction restricted_prediction(const torch::Tensor& logits,
                                           const torch::Tensor& classes);

}  // namespace ibot::eval
