#include "eval/best_sources.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numeric>

namespace ibot::eval {
namespace {

// Similarities that are looked at together.
constexpr int64_t kAtOnce = 16;

/// Weights can be equal where similarities are not.
float tie(float temperature) { return 4 * std::numeric_limits<float>::epsilon() * temperature; }

float product(const float* a, const float* b, int64_t width) {
  // Several sums, so that the compiler can use vectors.
  std::array<float, 16> sums{};
  constexpr auto kSums = static_cast<int64_t>(sums.size());
  int64_t i = 0;
  for (; i + kSums <= width; i += kSums) {
    for (int64_t j = 0; j < kSums; ++j) sums[j] += a[i + j] * b[i + j];
  }
  for (; i < width; ++i) sums[0] += a[i] * b[i];
  return std::accumulate(sums.begin(), sums.end(), 0.0F);
}

}  // namespace

BestSources::BestSources(int64_t count, double temperature, float error)
    : count_(static_cast<size_t>(count)),
      temperature_(static_cast<float>(temperature)),
      // Both a similarity and the k-th best can be off.
      slack_(2 * error + tie(temperature_)) {}

void BestSources::look(const float* similarity, int64_t count, int64_t first) {
  for (int64_t begin = 0; begin < count; begin += kAtOnce) {
    const auto end = std::min(begin + kAtOnce, count);
    int above = 0;
    // Without a branch, so that the compiler can use vectors; most groups have none.
    for (int64_t i = begin; i < end; ++i) above |= similarity[i] >= least_ ? 1 : 0;
    if (above == 0) continue;
    for (int64_t i = begin; i < end; ++i) {
      if (similarity[i] < least_) continue;
      seen_.push_back({similarity[i], first + i});
      keep_best(similarity[i]);
    }
  }
}

void BestSources::settle(const float* target, const float* sources, int64_t width) {
  std::erase_if(seen_, [&](const Source& source) { return source.similarity < least_; });
  slack_ = tie(temperature_);
  best_.clear();
  for (auto& [similarity, place] : seen_) {
    similarity = product(target, sources + place * width, width);
    keep_best(similarity);
  }
}

void BestSources::average(const float* labels, int64_t classes, float* mean) const {
  // Sources kept early may have fallen behind: those at or above the k-th best count, ties
  // included.
  const float least = best_.empty() ? 0 : weight(best_.front());
  float total = 0;
  std::fill_n(mean, classes, 0.0F);
  for (const auto& [similarity, place] : seen_) {
    const float weight = this->weight(similarity);
    if (weight < least) continue;
    total += weight;
    for (int64_t i = 0; i < classes; ++i) mean[i] += weight * labels[place * classes + i];
  }
  for (int64_t i = 0; i < classes; ++i) mean[i] /= total;
}

float BestSources::weight(float similarity) const { return std::exp(similarity / temperature_); }

void BestSources::keep_best(float similarity) {
  best_.push_back(similarity);
  std::push_heap(best_.begin(), best_.end(), std::greater<>());
  if (best_.size() > count_) {
    std::pop_heap(best_.begin(), best_.end(), std::greater<>());
    best_.pop_back();
  }
  if (best_.size() == count_) least_ = best_.front() - slack_;
}

}  // namespace ibot::eval
