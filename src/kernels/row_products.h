// Products of rows in bfloat16, where a processor has instructions for them.
#pragma once

#include <c10/util/BFloat16.h>

#include <cstdint>

namespace ibot::kernels {

/// Products of all pairs of rows, summed in float32.
///
///   left      [left_rows, width]
///   right     [right_rows, width]
///   products  [left_rows, right_rows]
struct RowProducts {
  int64_t width;
  const c10::BFloat16* left;
  int64_t left_rows;
  const c10::BFloat16* right;
  int64_t right_rows;
  float* products;
};

void avx512_bf16_row_products(const RowProducts& all);

/// The code for this processor; null: it has no AVX512-BF16, or ATEN_CPU_CAPABILITY forbids it.
void (*row_products())(const RowProducts&);

}  // namespace ibot::kernels
