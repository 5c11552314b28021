// Which candidate boxes stand for which objects in training.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <optional>

#include "ibot/base/rng.h"

namespace ibot::boxes {

///   positive     overlap from which on a candidate stands for the object it overlaps most
///   negative     overlap below which it is background; between the two it is neither
///   low_quality  overlap from which on an object is given its best candidates, whatever these
///                have; none: it is not
struct AssignmentOptions {
  double positive = 0.5;
  double negative = 0.5;
  std::optional<double> low_quality = {};
};

/// Of every candidate.
///
///   truth    [N] int64    k + 1: object k, 0: background, -1: neither
///   overlap  [N] float32  with the object that it overlaps most
struct Assignment {
  torch::Tensor truth;
  torch::Tensor overlap;
};

/// With low_quality, every candidate whose overlap with an object equals the object's best one is
/// assigned to it, later objects taking them from earlier ones.
///
///   candidates  [N, 4]
///   truths      [M, 4]
///
/// Source: mmdetection 2.11, MaxIoUAssigner.
Assignment assign(const torch::Tensor& candidates, const torch::Tensor& truths,
                  const AssignmentOptions& options);

/// The assignment with the `count` objects themselves in front as candidates.
Assignment with_truths(const Assignment& assignment, int64_t count);

/// Class of each candidate: that of its object, -1 for others.
torch::Tensor labels_of(const Assignment& assignment, const torch::Tensor& truth_labels);

struct SamplingOptions {
  int64_t count = 256;
  double positive_share = 0.5;
};

/// Ascending numbers of candidates.
struct Sample {
  torch::Tensor positive;
  torch::Tensor negative;
};

/// At most count · positive_share candidates that stand for objects, and background up to `count`,
/// drawn without replacement where there are more.
Sample sample(const torch::Tensor& truth, const SamplingOptions& options, Rng& rng);

}  // namespace ibot::boxes
