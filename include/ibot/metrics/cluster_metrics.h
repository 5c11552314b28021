// Agreement of predicted clusters with the classes of labeled images.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <unordered_map>

namespace ibot::metrics {

/// Normalized mutual information (arithmetic mean of the entropies), adjusted Rand index and
/// Fowlkes-Mallows index. All are 0 before the first pair is added.
struct ClusterMetrics {
  double nmi = 0;
  double ari = 0;
  double fmi = 0;
};

/// The contingency table of two labelings, filled batch by batch. Memory grows with the number of
/// distinct (label, cluster) pairs, not with the number of images or clusters.
///
/// Source: Hubert and Arabie 1985; Fowlkes and Mallows 1983; conventions of scikit-learn.
class ClusterTable {
 public:
  ///   label    [B]   int64, class of each image, from 0
  ///   cluster  [B]   int64, its cluster, from 0; both below 2^32
  void add(const torch::Tensor& label, const torch::Tensor& cluster);

  ClusterMetrics metrics() const;

  /// Every pair seen, as rows (label, cluster, count) in ascending order: [pairs, 3] int64.
  torch::Tensor counts() const;
  /// Adds what counts() of another table gave.
  void add_counts(const torch::Tensor& counts);

  void clear();

 private:
  void add_pair(uint64_t label, uint64_t cluster, int64_t count);

  using Counts = std::unordered_map<uint64_t, int64_t>;

  Counts pairs_;
  Counts labels_;
  Counts clusters_;
  int64_t total_ = 0;
};

}  // namespace ibot::metrics
