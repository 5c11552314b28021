// Options of k-means.
#pragma once

#include <cstdint>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"

namespace ibot::eval {

struct KmeansOptions {
  static constexpr const char* kSection = "kmeans";

  int64_t clusters = 0;
  int64_t iterations = 300;
  int64_t restarts = 20;
  int64_t seed = 0;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("clusters", clusters, "number of clusters; 0: as many as classes");
    field("iterations", iterations, "most passes of one run");
    field("restarts", restarts, "runs from other first centers; the tightest is kept");
    field("seed", seed, "of the first centers");
  }

  void validate() const {
    check_option(clusters >= 0, "clusters", "expected 0 or more, got ", clusters);
    check_option(iterations > 0, "iterations", "expected above 0, got ", iterations);
    check_option(restarts > 0, "restarts", "expected above 0, got ", restarts);
    check_option(seed >= 0, "seed", "expected 0 or more, got ", seed);
  }
};

}  // namespace ibot::eval
