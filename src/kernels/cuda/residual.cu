// A scaled branch added to the residual stream, and its gradient.
#include "kernels/cuda/device.cuh"

namespace ibot::kernels::cuda {
namespace {

__device__ float row_factor(const float* row, int64_t r) { return row ? row[r] : 1.0F; }

template <class T>
__global__ void add_rows(AddScaledLaunch all, const T* branch) {
  const int64_t width = all.rows.width;
  for (int64_t r = blockIdx.x; r < all.rows.count; r += gridDim.x) {
    const float row = row_factor(all.row, r);
    for (int64_t i = threadIdx.x; i < width; i += kThreads) {
      const int64_t at = r * width + i;
      const float factor = all.channel ? row * all.channel[i] : row;
      all.output[at] = add_scaled(all.tokens[at], wide(branch[at]), factor);
    }
  }
}

template <class T>
__global__ void add_rows_backward(AddScaledBackwardLaunch all, T* rounded, T* scaled) {
  extern __shared__ float sums[];  // [width], each thread has columns of its own
  const int64_t width = all.rows.width;
  for (int64_t i = threadIdx.x; i < width; i += kThreads) sums[i] = 0;
  for (int64_t r = blockIdx.x; r < all.rows.count; r += gridDim.x) {
    const float row = row_factor(all.row, r);
    for (int64_t i = threadIdx.x; i < width; i += kThreads) {
      const int64_t at = r * width + i;
      const float g = all.gradient[at] * row;
      put(rounded + at, g);
      if (scaled) put(scaled + at, g * all.channel[i]);
      sums[i] += g;
    }
  }
  for (int64_t i = threadIdx.x; i < width; i += kThreads) {
    all.sums[blockIdx.x * width + i] = sums[i];
  }
}

}  // namespace

void launch(const AddScaledLaunch& all, cudaStream_t stream) {
  with_half(all.rows.element, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    add_rows<<<blocks_of(all.rows.count, 1 << 16), kThreads, 0, stream>>>(
        all, static_cast<const T*>(all.branch));
  });
}

void launch(const AddScaledBackwardLaunch& all, cudaStream_t stream) {
  with_half(all.rows.element, [&](auto* type) {
    using T = decltype(type);
    const size_t shared = sizeof(float) * static_cast<size_t>(all.rows.width);
    add_rows_backward<<<kPartialSums, kThreads, shared, stream>>>(all, static_cast<T>(all.rounded),
                                                                  static_cast<T>(all.scaled));
  });
}

}  // namespace ibot::kernels::cuda
