// What the CUDA sources share. Nothing here needs more than sm_70.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

#include "kernels/arithmetic.h"
#include "kernels/cuda/launch.h"

namespace ibot::kernels::cuda {

constexpr int kWarp = 32, kThreads = 256, kWarps = kThreads / kWarp;
constexpr unsigned kAllLanes = 0xFFFFFFFFU;

__device__ inline float wide(float x) { return x; }
__device__ inline float wide(__half x) { return __half2float(x); }
__device__ inline float wide(__nv_bfloat16 x) { return __bfloat162float(x); }

__device__ inline void put(float* to, float x) { *to = x; }
__device__ inline void put(__half* to, float x) { *to = __float2half(x); }
__device__ inline void put(__nv_bfloat16* to, float x) { *to = __float2bfloat16(x); }

struct Add {
  __device__ float operator()(float a, float b) const { return a + b; }
};

struct Larger {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

/// `value` of all threads of a block of kThreads joined, for each of them.
template <class Join>
__device__ float over_block(float value, float neutral, Join join) {
  __shared__ float of_warp[kWarps];
  for (int step = kWarp / 2; step > 0; step /= 2) {
    value = join(value, __shfl_xor_sync(kAllLanes, value, step));
  }
  __syncthreads();  // of_warp may still be read from the call before
  if (threadIdx.x % kWarp == 0) of_warp[threadIdx.x / kWarp] = value;
  __syncthreads();
  value = threadIdx.x % kWarp < kWarps ? of_warp[threadIdx.x % kWarp] : neutral;
  for (int step = kWarp / 2; step > 0; step /= 2) {
    value = join(value, __shfl_xor_sync(kAllLanes, value, step));
  }
  return value;
}

__device__ inline float block_sum(float value) { return over_block(value, 0.0F, Add()); }

/// Calls visit with a null pointer of the element's type.
template <class Visit>
void with_half(Element element, const Visit& visit) {
  if (element == Element::kHalf) {
    visit(static_cast<__half*>(nullptr));
  } else {
    visit(static_cast<__nv_bfloat16*>(nullptr));
  }
}

template <class Visit>
void with_element(Element element, const Visit& visit) {
  if (element == Element::kFloat) {
    visit(static_cast<float*>(nullptr));
  } else {
    with_half(element, visit);
  }
}

inline unsigned blocks_of(int64_t work, int64_t most) {
  return static_cast<unsigned>(work < most ? work : most);
}

}  // namespace ibot::kernels::cuda
