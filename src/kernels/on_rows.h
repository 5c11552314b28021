// What CPU kernels share.
#pragma once

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>

#include "kernels/vector_loops.h"

namespace ibot::kernels {

/// Numbers that a thread is worth waking for.
inline constexpr int64_t kNumbersAThread = int64_t{1} << 15;

inline int64_t rows_a_thread(int64_t width) {
  return std::max<int64_t>(1, kNumbersAThread / std::max<int64_t>(1, width));
}

inline const float* floats(const torch::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<float>() : nullptr;
}

inline float* mutable_floats(const torch::Tensor& tensor) {
  return tensor.defined() ? tensor.mutable_data_ptr<float>() : nullptr;
}

inline const c10::BFloat16* halves(const torch::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<c10::BFloat16>() : nullptr;
}

inline c10::BFloat16* mutable_halves(const torch::Tensor& tensor) {
  return tensor.defined() ? tensor.mutable_data_ptr<c10::BFloat16>() : nullptr;
}

/// Own CPU code is there only where the processor's vectors are.
template <class Function>
Function* with_vectors(Function* function) {
  return vector_loops() ? function : nullptr;
}

/// Calls loop(first, last, part) for parts of the rows on several threads.
template <class Loop>
void for_parts_of_rows(int64_t rows, int64_t parts, const Loop& loop) {
  at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      loop(rows * part / parts, rows * (part + 1) / parts, part);
    }
  });
}

/// As many parts as there are threads, or fewer: each has sums of its own.
inline int64_t parts_of(int64_t rows, int64_t width) {
  return std::clamp<int64_t>(rows / rows_a_thread(width), 1, at::get_num_threads());
}

/// A GPU's column sums of a row lie in a block's shared memory, two floats a column.
inline constexpr int64_t kWidestRow = 6144;

/// Whether own code takes a stream in float32 and products in `dtype`.
inline bool is_mixed(const torch::Tensor& stream, torch::ScalarType dtype) {
  const bool half = dtype == torch::kBFloat16 || (dtype == torch::kHalf && !stream.is_cpu());
  return half && stream.scalar_type() == torch::kFloat && stream.size(-1) <= kWidestRow;
}

}  // namespace ibot::kernels
