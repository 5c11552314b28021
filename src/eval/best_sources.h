// The most similar of many sources, those of inexact similarities included.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

namespace ibot::eval {

/// The most similar sources of one target. Similarities up to `error` off are settled before labels
/// are averaged.
class BestSources {
 public:
  BestSources(int64_t count, double temperature, float error);

  /// Looks at `count` similarities of the sources from `first` on.
  void look(const float* similarity, int64_t count, int64_t first);

  /// Computes the similarities of all sources that can be among the best again, in float32.
  ///
  ///   target   [width]
  ///   sources  [places, width]
  void settle(const float* target, const float* sources, int64_t width);

  /// The mean label, [classes], by exp(similarity / temperature), into `mean`.
  ///
  ///   labels  [places, classes]
  void average(const float* labels, int64_t classes, float* mean) const;

 private:
  struct Source {
    float similarity;
    int64_t place;
  };

  float weight(float similarity) const;
  void keep_best(float similarity);

  size_t count_;
  float temperature_;
  float slack_;  // below the k-th best
  // What a similarity must reach to be among the best so far.
  float least_ = -std::numeric_limits<float>::infinity();
  std::vector<float> best_;  // a heap, the least first
  std::vector<Source> seen_;
};

}  // namespace ibot::eval
