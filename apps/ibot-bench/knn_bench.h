// Benchmark of k-NN classification with random features.
#pragma once

#include <cstdint>
#include <vector>

#include "ibot-bench/figures.h"

namespace ibot::apps {

/// Default sizes: ImageNet's training set with ViT-S.
struct KnnBenchOptions {
  int64_t rows = 1281167;
  int64_t width = 384;
  int64_t queries = 2000;
  int64_t classes = 1000;
  std::vector<int64_t> k{20};
};

/// Classifies `queries` random features by `rows` others; an image is a query.
void bench_knn(const KnnBenchOptions& options, const BenchRuns& runs, Figures& figures);

}  // namespace ibot::apps
