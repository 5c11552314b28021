// Whitening of features by those of other images.
#pragma once

#include <torch/types.h>

namespace ibot::eval {

///   mean         [F]      float64
///   eigenvalues  [F]      float64, descending, each at least 1e-5 of the largest
///   projection   [F, F]   float64
struct Whitening {
  torch::Tensor mean;
  torch::Tensor eigenvalues;
  torch::Tensor projection;

  /// Subtracts the mean and projects: [S, F], in the features' type.
  torch::Tensor apply(const torch::Tensor& features) const;
};

/// From the second moments of the features, not centered, in all dimensions. Throws Error where a
/// value is not finite.
///
///   features  [S, F]
///
/// Source: evaluation/eval_copy_detection.py and utils.PCA of the reference.
Whitening whitening_of(const torch::Tensor& features);

}  // namespace ibot::eval
