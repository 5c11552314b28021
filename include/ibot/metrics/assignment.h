// The best one-to-one matching of clusters and classes.
#pragma once

#include <torch/types.h>

#include <cstdint>

namespace ibot::metrics {

/// Largest number of images that a one-to-one matching of clusters to labels classifies correctly.
/// Labels and clusters may differ in number; those left over are matched to nothing.
///
///   counts  [pairs, 3]   int64 rows (label, cluster, images), as ClusterTable::counts gives them
///
/// Source: Kuhn 1955, in the shortest-augmenting-path form of Jonker and Volgenant 1987.
int64_t matched_images(const torch::Tensor& counts);

}  // namespace ibot::metrics
