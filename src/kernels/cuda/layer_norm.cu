// Layer norm of float32 rows for products in half precision: a block a row.
#include "kernels/cuda/device.cuh"

namespace ibot::kernels::cuda {
namespace {

template <class T>
__global__ void normalize_rows(NormalizeLaunch all, T* output, T* kept) {
  const int64_t width = all.rows.width;
  const auto count = static_cast<float>(width);
  for (int64_t r = blockIdx.x; r < all.rows.count; r += gridDim.x) {
    const float* x = all.tokens + r * width;
    float sum = 0, squares = 0;
    for (int64_t i = threadIdx.x; i < width; i += kThreads) sum += x[i];
    const float mean = block_sum(sum) / count;
    for (int64_t i = threadIdx.x; i < width; i += kThreads)
      squares += (x[i] - mean) * (x[i] - mean);
    const float rstd = rsqrtf(block_sum(squares) / count + all.eps);
    for (int64_t i = threadIdx.x; i < width; i += kThreads) {
      const float value = normalized(x[i], mean, rstd);
      if (kept) put(kept + r * width + i, value);
      put(output + r * width + i, affine(value, all.scale[i], all.shift[i]));
    }
    if (all.mean && threadIdx.x == 0) {
      all.mean[r] = mean;
      all.rstd[r] = rstd;
    }
  }
}

/// Sums of columns stay in the block's shared memory, where each thread has columns of its own.
template <class T>
__global__ void normalize_rows_backward(NormalizeBackwardLaunch all, const T* gradient,
                                        const T* kept, T* output) {
  extern __shared__ float sums[];  // [2, width]
  const int64_t width = all.rows.width;
  const auto count = static_cast<float>(width);
  float* of_scale = sums;
  float* of_shift = sums + width;
  for (int64_t i = threadIdx.x; i < width; i += kThreads) of_scale[i] = of_shift[i] = 0;
  for (int64_t r = blockIdx.x; r < all.rows.count; r += gridDim.x) {
    const int64_t row = r * width;
    float sum = 0, products = 0;
    for (int64_t i = threadIdx.x; i < width; i += kThreads) {
      const float g = wide(gradient[row + i]), value = wide(kept[row + i]);
      sum += g * all.scale[i];
      products += g * all.scale[i] * value;
      of_scale[i] += g * value;
      of_shift[i] += g;
      put(output + row + i, affine(value, all.scale[i], all.shift[i]));
    }
    // The same for every thread of the block: none waits in block_sum alone.
    if (!all.of_rows) continue;
    const float mean = block_sum(sum) / count, mean_product = block_sum(products) / count;
    for (int64_t i = threadIdx.x; i < width; i += kThreads) {
      const float g = wide(gradient[row + i]) * all.scale[i];
      const float own = norm_gradient(g, wide(kept[row + i]), all.rstd[r], mean, mean_product);
      all.of_rows[row + i] = all.above ? own + all.above[row + i] : own;
    }
  }
  for (int64_t i = threadIdx.x; i < width; i += kThreads) {
    all.scale_sums[blockIdx.x * width + i] = of_scale[i];
    all.shift_sums[blockIdx.x * width + i] = of_shift[i];
  }
}

}  // namespace

void launch(const NormalizeLaunch& all, cudaStream_t stream) {
  with_half(all.rows.element, [&](auto* type) {
    using T = decltype(type);
    normalize_rows<<<blocks_of(all.rows.count, 1 << 16), kThreads, 0, stream>>>(
        all, static_cast<T>(all.output), static_cast<T>(all.kept));
  });
}

void launch(const NormalizeBackwardLaunch& all, cudaStream_t stream) {
  with_half(all.rows.element, [&](auto* type) {
    using T = decltype(type);
    const size_t shared = 2 * sizeof(float) * static_cast<size_t>(all.rows.width);
    normalize_rows_backward<<<kPartialSums, kThreads, shared, stream>>>(
        all, static_cast<const std::remove_pointer_t<T>*>(all.gradient),
        static_cast<const std::remove_pointer_t<T>*>(all.kept), static_cast<T>(all.output));
  });
}

}  // namespace ibot::kernels::cuda
