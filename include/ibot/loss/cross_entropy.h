// Cross-entropy against targets that are never stored.
#pragma once

#include <torch/types.h>

#include <functional>
#include <optional>
#include <vector>

#include "ibot/kernels/cross_entropy.h"

namespace ibot::loss {

/// Rows of targets, computed when they are needed.
struct TargetRows {
  using Compute = std::function<torch::Tensor(const std::vector<torch::Tensor>& sources,
                                              int64_t first, int64_t count)>;

  TargetRows(std::vector<torch::Tensor> sources_, Compute compute_)
      : sources(std::move(sources_)), compute(std::move(compute_)) {}
  /// Targets that are there already, [R, K].
  TargetRows(const torch::Tensor& targets);  // NOLINT(google-explicit-constructor)

  std::vector<torch::Tensor> sources;  // what `compute` reads, and the backward pass keeps
  Compute compute;                     // rows [first, first + count): [count, K], float32
  /// The same targets in closed form, where they have that; own code of a GPU takes it.
  std::optional<kernels::CenteredTeacher> centered = {};
};

/// Cross-entropy of each row, Σ_k -target_k · log softmax(logits / temperature)_k, in float32. The
/// targets of a row need not sum to 1. Probabilities are computed for some rows at a time, in the
/// forward and again in the backward pass, which keeps `logits` and the targets' sources.
///
///   logits   [R, K]
///   returns  [R]
///
/// Throws Error on targets of another shape, and on gradients of gradients.
torch::Tensor cross_entropy(const torch::Tensor& logits, const TargetRows& targets,
                            double temperature);

}  // namespace ibot::loss
