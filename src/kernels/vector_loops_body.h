// The loops, compiled once for each set of vector instructions that has a source of its own.
#include <ATen/cpu/vec/functional.h>
#include <ATen/cpu/vec/vec.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/arithmetic.h"
#include "kernels/vector_loops.h"

namespace ibot::kernels {
namespace {

using c10::BFloat16;
using Vec = at::vec::Vectorized<float>;
using HalfVec = at::vec::Vectorized<BFloat16>;

/// As many floats as a vector has half-precision numbers.
struct Pair {
  Vec low, high;

  static Pair of(float value) { return {Vec(value), Vec(value)}; }
  float sum() const {
    return at::vec::vec_reduce_all<float>([](Vec a, Vec b) { return a + b; }, low + high);
  }
  float max() const {
    return at::vec::vec_reduce_all<float>([](Vec a, Vec b) { return at::vec::maximum(a, b); },
                                          at::vec::maximum(low, high));
  }
  // Within 20 units in the last place of float32: far more than bfloat16 keeps.
  Pair exp() const { return {low.exp_u20(), high.exp_u20()}; }
};

Pair operator+(const Pair& a, const Pair& b) { return {a.low + b.low, a.high + b.high}; }
Pair operator-(const Pair& a, const Pair& b) { return {a.low - b.low, a.high - b.high}; }
Pair operator*(const Pair& a, const Pair& b) { return {a.low * b.low, a.high * b.high}; }

Pair larger(const Pair& a, const Pair& b) {
  return {at::vec::maximum(a.low, b.low), at::vec::maximum(a.high, b.high)};
}

constexpr int64_t kLanes = Vec::size(), kStep = HalfVec::size();

inline Pair load(const float* from, int64_t count) {
  // Whole vectors are nearly all: the ends of rows take the slow way.
  if (count == kStep) return {Vec::loadu(from), Vec::loadu(from + kLanes)};
  return {Vec::loadu(from, std::min(count, kLanes)),
          Vec::loadu(from + std::min(count, kLanes), std::max<int64_t>(count - kLanes, 0))};
}

inline Pair load(const BFloat16* from, int64_t count) {
  const auto [low, high] = at::vec::convert_to_float<BFloat16>(
      count == kStep ? HalfVec::loadu(from) : HalfVec::loadu(from, count));
  return {low, high};
}

inline void store(float* to, const Pair& values, int64_t count) {
  if (count == kStep) {
    values.low.store(to);
    values.high.store(to + kLanes);
    return;
  }
  values.low.store(to, static_cast<int>(std::min(count, kLanes)));
  if (count > kLanes) values.high.store(to + kLanes, static_cast<int>(count - kLanes));
}

inline void store(BFloat16* to, const Pair& values, int64_t count) {
  const auto rounded = at::vec::convert_from_float<BFloat16>(values.low, values.high);
  count == kStep ? rounded.store(to) : rounded.store(to, static_cast<int>(count));
}

/// `values` in the first `count` places, `other` behind.
inline Pair first_of(const Pair& values, float other, int64_t count) {
  if (count == kStep) return values;
  return {Vec::set(Vec(other), values.low, std::min(count, kLanes)),
          Vec::set(Vec(other), values.high, std::max<int64_t>(count - kLanes, 0))};
}

/// body(i, count) for a row's numbers, `count` from i on.
template <class Body>
inline void for_parts(int64_t width, const Body& body) {
  int64_t i = 0;
  for (; i + kStep <= width; i += kStep) body(i, kStep);
  if (i < width) body(i, width - i);
}

void normalize(const NormalizeRows& all, int64_t first, int64_t last) {
  const auto width = static_cast<float>(all.width);
  for (int64_t r = first; r < last; ++r) {
    const float* x = all.tokens + r * all.width;
    auto sum = Pair::of(0), squares = Pair::of(0);
    for_parts(all.width, [&](int64_t i, int64_t n) { sum = sum + first_of(load(x + i, n), 0, n); });
    const float mean = sum.sum() / width;
    for_parts(all.width, [&](int64_t i, int64_t n) {
      // Places behind the row hold 0 - mean: they must not count.
      const auto off = first_of(load(x + i, n) - Pair::of(mean), 0, n);
      squares = squares + off * off;
    });
    const float rstd = 1 / std::sqrt(squares.sum() / width + all.eps);
    for_parts(all.width, [&](int64_t i, int64_t n) {
      const auto at = r * all.width + i;
      const auto value = normalized(load(x + i, n), Pair::of(mean), Pair::of(rstd));
      if (all.kept) store(all.kept + at, value, n);
      store(all.output + at, affine(value, load(all.scale + i, n), load(all.shift + i, n)), n);
    });
    if (all.mean) all.mean[r] = mean;
    if (all.rstd) all.rstd[r] = rstd;
  }
}

void norm_gradient_rows(const NormGradientRows& all, const NormSums& sums, int64_t first,
                        int64_t last) {
  const auto width = static_cast<float>(all.width);
  for (int64_t r = first; r < last; ++r) {
    const auto *gradient = all.gradient + r * all.width, *kept = all.kept + r * all.width;
    // Both means are needed before the first number of the row's gradient: two passes over it.
    auto sum = Pair::of(0), products = Pair::of(0);
    for_parts(all.width, [&](int64_t i, int64_t n) {
      const auto g = load(gradient + i, n), value = load(kept + i, n);
      const auto scaled = g * load(all.scale + i, n);
      sum = sum + first_of(scaled, 0, n);
      products = products + first_of(scaled * value, 0, n);
      store(sums.scale + i, load(sums.scale + i, n) + g * value, n);
      store(sums.shift + i, load(sums.shift + i, n) + g, n);
      const auto output = affine(value, load(all.scale + i, n), load(all.shift + i, n));
      store(all.output + r * all.width + i, output, n);
    });
    if (!all.result) continue;
    const auto rstd = Pair::of(all.rstd[r]);
    const auto mean = Pair::of(sum.sum() / width), mean_product = Pair::of(products.sum() / width);
    for_parts(all.width, [&](int64_t i, int64_t n) {
      const auto at = r * all.width + i;
      const auto scaled = load(gradient + i, n) * load(all.scale + i, n);
      const auto own = norm_gradient(scaled, load(kept + i, n), rstd, mean, mean_product);
      store(all.result + at, all.above ? own + load(all.above + at, n) : own, n);
    });
  }
}

void add_scaled_rows(const AddScaledRows& all, int64_t first, int64_t last) {
  for (int64_t r = first; r < last; ++r) {
    const auto row = Pair::of(all.row ? all.row[r] : 1);
    for_parts(all.width, [&](int64_t i, int64_t n) {
      const auto at = r * all.width + i;
      const auto factor = all.channel ? row * load(all.channel + i, n) : row;
      store(all.output + at, add_scaled(load(all.tokens + at, n), load(all.branch + at, n), factor),
            n);
    });
  }
}

void branch_gradient(const BranchGradientRows& all, float* sums, int64_t first, int64_t last) {
  for (int64_t r = first; r < last; ++r) {
    const auto row = Pair::of(all.row ? all.row[r] : 1);
    for_parts(all.width, [&](int64_t i, int64_t n) {
      const auto at = r * all.width + i;
      const auto g = load(all.gradient + at, n) * row;
      store(all.rounded + at, g, n);
      if (all.scaled) store(all.scaled + at, g * load(all.channel + i, n), n);
      store(sums + i, load(sums + i, n) + g, n);
    });
  }
}

void softmax(const SoftmaxRows& all, float* room, int64_t first, int64_t last) {
  constexpr float kLeast = -std::numeric_limits<float>::infinity();
  for (int64_t r = first; r < last; ++r) {
    auto* scores = all.scores + r * all.width;
    const auto factor = Pair::of(all.factor);
    auto largest = Pair::of(kLeast), sum = Pair::of(0);
    for_parts(all.width, [&](int64_t i, int64_t n) {
      const auto score = load(scores + i, n) * factor;
      store(room + i, score, n);
      largest = larger(largest, first_of(score, kLeast, n));
    });
    const auto max = Pair::of(largest.max());
    for_parts(all.width, [&](int64_t i, int64_t n) {
      const auto weight = (load(room + i, n) - max).exp();
      store(room + i, weight, n);
      sum = sum + first_of(weight, 0, n);
    });
    const auto share = Pair::of(1 / sum.sum());
    for_parts(all.width,
              [&](int64_t i, int64_t n) { store(scores + i, load(room + i, n) * share, n); });
  }
}

void softmax_gradient(const SoftmaxGradientRows& all, int64_t first, int64_t last) {
  for (int64_t r = first; r < last; ++r) {
    const auto* weights = all.weights + r * all.width;
    auto* gradient = all.gradient + r * all.width;
    // dS = A (dA - Σ A dA), times the factor of the scores.
    auto products = Pair::of(0);
    for_parts(all.width, [&](int64_t i, int64_t n) {
      products = products + first_of(load(weights + i, n) * load(gradient + i, n), 0, n);
    });
    const auto product = Pair::of(products.sum()), factor = Pair::of(all.factor);
    for_parts(all.width, [&](int64_t i, int64_t n) {
      const auto own = load(weights + i, n) * (load(gradient + i, n) - product) * factor;
      store(gradient + i, own, n);
    });
  }
}

}  // namespace

const VectorLoops& IBOT_LOOPS_NAME() {
  static const VectorLoops loops{normalize, norm_gradient_rows, add_scaled_rows, branch_gradient,
                                 softmax,   softmax_gradient};
  return loops;
}

}  // namespace ibot::kernels
