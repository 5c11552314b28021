#include <immintrin.h>

#include <algorithm>
#include <array>

#include "kernels/row_products.h"

namespace ibot::kernels {
namespace {

using c10::BFloat16;

constexpr int64_t kStep = 32;  // numbers of a vector
// Rows whose products are summed together: their 24 sums, the four right vectors and a left one
// fill the registers.
constexpr int64_t kLeft = 6;
constexpr int64_t kRight = 4;

using Sums = __m512[kLeft][kRight];

template <int64_t kRows>
using Rows = std::array<const BFloat16*, kRows>;

/// Beyond the last row it is repeated.
template <int64_t kRows>
Rows<kRows> rows_from(const BFloat16* rows, int64_t first, int64_t count, int64_t width) {
  Rows<kRows> from;
  for (int64_t i = 0; i < kRows; ++i) from[i] = rows + std::min(first + i, count - 1) * width;
  return from;
}

inline __m512bh load(const BFloat16* from, __mmask32 mask) {
  return reinterpret_cast<__m512bh>(_mm512_maskz_loadu_epi16(mask, from));
}

inline void add_products(const Rows<kLeft>& left, const Rows<kRight>& right, int64_t at,
                         __mmask32 mask, Sums& sums) {
  __m512bh others[kRight];
  for (int64_t j = 0; j < kRight; ++j) others[j] = load(right[j] + at, mask);
  for (int64_t i = 0; i < kLeft; ++i) {
    const auto values = load(left[i] + at, mask);
    for (int64_t j = 0; j < kRight; ++j) {
      sums[i][j] = _mm512_dpbf16_ps(sums[i][j], values, others[j]);
    }
  }
}

inline __m512 add_neighbors(__m512 a, __m512 b) {
  return _mm512_unpacklo_ps(a, b) + _mm512_unpackhi_ps(a, b);
}

/// The sum of each of four vectors.
inline __m128 totals(const __m512 (&sums)[kRight]) {
  const auto first = _mm512_castps_pd(add_neighbors(sums[0], sums[1]));
  const auto second = _mm512_castps_pd(add_neighbors(sums[2], sums[3]));
  // In each quarter one number of each.
  const auto quarters = _mm512_castpd_ps(_mm512_unpacklo_pd(first, second)) +
                        _mm512_castpd_ps(_mm512_unpackhi_pd(first, second));
  const auto half = _mm512_castps512_ps256(quarters) +
                    _mm512_castps512_ps256(_mm512_shuffle_f32x4(quarters, quarters, 0x4E));
  return _mm256_castps256_ps128(half) + _mm256_extractf128_ps(half, 1);
}

}  // namespace

void avx512_bf16_row_products(const RowProducts& all) {
  const auto whole = all.width / kStep * kStep;
  const auto rest = static_cast<__mmask32>((1ULL << (all.width - whole)) - 1);
  for (int64_t l = 0; l < all.left_rows; l += kLeft) {
    const auto left = rows_from<kLeft>(all.left, l, all.left_rows, all.width);
    const auto left_count = std::min(kLeft, all.left_rows - l);
    for (int64_t r = 0; r < all.right_rows; r += kRight) {
      const auto right = rows_from<kRight>(all.right, r, all.right_rows, all.width);
      const auto mask = static_cast<__mmask8>((1U << std::min(kRight, all.right_rows - r)) - 1);
      Sums sums = {};
      for (int64_t i = 0; i < whole; i += kStep) add_products(left, right, i, ~0U, sums);
      if (rest != 0) add_products(left, right, whole, rest, sums);
      auto* products = all.products + l * all.right_rows + r;
      // A loop of constant length keeps the sums in registers.
      for (int64_t i = 0; i < kLeft; ++i) {
        const auto own = static_cast<__mmask8>(i < left_count ? mask : 0);
        _mm_mask_storeu_ps(products + i * all.right_rows, own, totals(sums[i]));
      }
    }
  }
}

}  // namespace ibot::kernels
