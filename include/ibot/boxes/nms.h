// Non-maximum suppression.
#pragma once

#include <torch/types.h>

#include <cstdint>

namespace ibot::boxes {

/// The boxes that remain when each, from the highest score down, removes those that overlap it by
/// more than `threshold`. Equal scores in ascending order of their numbers.
///
///   boxes    [N, 4]  float32
///   scores   [N]
///   returns  [kept]  int64, by descending score
///
/// On a GPU by own code where ibot was built with CUDA, otherwise on the CPU. Source: torchvision,
/// mmcv (CUDA kernel).
torch::Tensor nms(const torch::Tensor& boxes, const torch::Tensor& scores, double threshold);

/// The same within every group (a class, a level) by itself; the order is that over all groups.
///
///   groups  [N] int64
torch::Tensor grouped_nms(const torch::Tensor& boxes, const torch::Tensor& scores,
                          const torch::Tensor& groups, double threshold);

///   boxes   [K, 4]
///   scores  [K]
///   labels  [K] int64
struct Detected {
  torch::Tensor boxes;
  torch::Tensor scores;
  torch::Tensor labels;
};

/// Every pair of box and class whose score exceeds `least_score` is a candidate; suppression is per
/// class, and the best `most` of all remain.
///
///   boxes   [N, 4 C]    four columns a class
///   scores  [N, C + 1]  the last class is background
///
/// Source: mmdetection 2.11, multiclass_nms.
Detected detect(const torch::Tensor& boxes, const torch::Tensor& scores, double least_score,
                double threshold, int64_t most);

enum class Softening { kNaive, kLinear, kGaussian };

///   softening    kNaive: overlapping boxes lose their score, kLinear: it is multiplied by
///                1 - overlap, kGaussian: by exp(-overlap² / sigma) at any overlap
///   threshold    of overlap
///   least_score  boxes below it are dropped
struct SoftNmsOptions {
  Softening softening = Softening::kLinear;
  double threshold = 0.3;
  double sigma = 0.5;
  double least_score = 1e-3;
};

///   kept    [K] int64, in the order in which they were taken
///   scores  [K] as lowered
struct SoftNms {
  torch::Tensor kept;
  torch::Tensor scores;
};

/// Soft-NMS (Bodla et al. 2017): boxes that overlap a better one have their scores lowered instead
/// of being removed.
SoftNms soft_nms(const torch::Tensor& boxes, const torch::Tensor& scores,
                 const SoftNmsOptions& options);

/// detect() with soft_nms within every class instead of suppression; boxes keep their place and
/// have lowered scores. A candidate starts above `least_score` and stays above options.least_score.
Detected detect_softly(const torch::Tensor& boxes, const torch::Tensor& scores, double least_score,
                       const SoftNmsOptions& options, int64_t most);

}  // namespace ibot::boxes
