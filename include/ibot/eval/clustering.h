// Unsupervised classification: clusters against classes.
#pragma once

#include <torch/types.h>

#include <map>
#include <string>

#include "ibot/eval/kmeans_options.h"

namespace ibot::eval {

///   cluster   [S]   int64
///   inertia   sum of squared distances to the nearest center
struct Kmeans {
  torch::Tensor cluster;
  double inertia = 0;
};

/// Lloyd's algorithm from greedy k-means++ centers. Where it has settled, all rows move that would
/// lower the sum by moving alone (Hartigan's test), and it goes on from there while that helps. A
/// cluster that loses all its rows moves to the row that lies farthest from its center. Distances
/// are taken a block of rows at a time.
///
///   features  [S, F]   float32
///
/// Throws Error when there are fewer rows than clusters and on features that are not finite.
/// Source: Arthur and Vassilvitskii 2007; Hartigan and Wong 1979.
Kmeans kmeans(const torch::Tensor& features, const KmeansOptions& options);

/// acc, nmi, ari and fmi, each in percent: accuracy under the best one-to-one matching of clusters
/// and classes, mutual information, Rand and Fowlkes-Mallows index.
///
/// The reference shifts the predictions when cluster 0 is unused and cuts its table to the number
/// of classes, both after solving the assignment; here every cluster counts as what it is.
///
///   labels, clusters   [S]   int64, from 0
///
/// Source: evaluation/unsupervised/unsup_cls.py of the reference implementation.
std::map<std::string, double> cluster_metrics(const torch::Tensor& labels,
                                              const torch::Tensor& clusters);

}  // namespace ibot::eval
