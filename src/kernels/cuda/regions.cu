// Features of regions and suppression of boxes. Compiled without fused multiply-add, which rounds
// otherwise than the CPU: which box remains would hang on it.
#include "kernels/cuda/device.cuh"
#include "kernels/region_arithmetic.h"

namespace ibot::kernels::cuda {
namespace {

/// One axis of a region: where its samples are.
struct Span {
  float low, bin_size;
  int64_t samples;

  __device__ Span(float from, float to, float scale, int64_t bins, int64_t fixed)
      : low(cell_of(from, scale)),
        bin_size((cell_of(to, scale) - low) / static_cast<float>(bins)),
        samples(fixed > 0 ? fixed : static_cast<int64_t>(ceilf(bin_size))) {}

  __device__ Between at(int64_t bin, int64_t k, int64_t size) const {
    return between(sample_at(low, bin_size, bin, k, samples), size);
  }
};

/// Calls visit(offset of the map, tap, samples of the bin) for the samples of one output number.
template <class Visit>
__device__ void for_samples(const RoiAlignLaunch& all, int64_t number, const Visit& visit) {
  const int64_t across = number % all.bins_across;
  const int64_t down = number / all.bins_across % all.bins_down;
  const int64_t channel = number / (all.bins_across * all.bins_down) % all.channels;
  const float* region =
      all.region + 5 * (number / (all.bins_across * all.bins_down * all.channels));
  const auto image = static_cast<int64_t>(region[0]);
  if (image < 0 || image >= all.images) return;
  const Span x(region[1], region[3], all.scale, all.bins_across, all.samples);
  const Span y(region[2], region[4], all.scale, all.bins_down, all.samples);
  const int64_t map = (image * all.channels + channel) * all.height * all.width;
  const int64_t taken = x.samples * y.samples;
  const auto count = static_cast<float>(taken > 1 ? taken : 1);
  for (int64_t j = 0; j < y.samples; ++j) {
    const Between v = y.at(down, j, all.height);
    for (int64_t k = 0; k < x.samples; ++k) {
      const Between u = x.at(across, k, all.width);
      if (v.inside && u.inside) visit(map, tap_of(v, u, all.width), count);
    }
  }
}

__global__ void align(RoiAlignLaunch all, int64_t numbers, const float* features, float* output) {
  for (int64_t n = blockIdx.x * int64_t{kThreads} + threadIdx.x; n < numbers;
       n += gridDim.x * int64_t{kThreads}) {
    float sum = 0, count = 1;
    for_samples(all, n, [&](int64_t map, const Tap& tap, float taken) {
      const float* cell = features + map;
      sum +=
          weighted(tap, cell[tap.cell[0]], cell[tap.cell[1]], cell[tap.cell[2]], cell[tap.cell[3]]);
      count = taken;
    });
    output[n] = sum / count;
  }
}

/// Regions overlap: their sums meet in a cell, in an order that varies.
__global__ void align_backward(RoiAlignLaunch all, int64_t numbers, const float* of_output,
                               float* gradient) {
  for (int64_t n = blockIdx.x * int64_t{kThreads} + threadIdx.x; n < numbers;
       n += gridDim.x * int64_t{kThreads}) {
    for_samples(all, n, [&](int64_t map, const Tap& tap, float count) {
      for (int i = 0; i < 4; ++i) {
        atomicAdd(gradient + map + tap.cell[i], tap.weight[i] / count * of_output[n]);
      }
    });
  }
}

constexpr int kWord = 64;

/// Word w of row i: which of the boxes 64 w to 64 w + 63 come after box i and overlap it too much.
__global__ void overlap_mask(const float* boxes, int64_t count, float threshold, uint64_t* mask) {
  const int64_t words = (count + kWord - 1) / kWord, word = blockIdx.y;
  const int64_t i = blockIdx.x * int64_t{kThreads} + threadIdx.x;
  if (i >= count) return;
  const auto box = [boxes](int64_t n) {
    return Corners{boxes[4 * n], boxes[4 * n + 1], boxes[4 * n + 2], boxes[4 * n + 3]};
  };
  const Corners own = box(i);
  const float area = area_of(own);
  uint64_t bits = 0;
  for (int64_t b = 0; b < kWord; ++b) {
    const int64_t j = word * kWord + b;
    if (j <= i || j >= count) continue;
    const Corners other = box(j);
    if (overlap_of(own, area, other, area_of(other)) > threshold) bits |= uint64_t{1} << b;
  }
  mask[i * words + word] = bits;
}

/// From the best box down, each that remains removes those of its row. One block: boxes wait for
/// the better ones.
__global__ void keep_boxes(const uint64_t* mask, int64_t count, bool* kept) {
  extern __shared__ unsigned long long removed[];  // [words]
  const int64_t words = (count + kWord - 1) / kWord;
  for (int64_t w = threadIdx.x; w < words; w += kThreads) removed[w] = 0;
  __syncthreads();
  for (int64_t i = 0; i < count; ++i) {
    const bool remains = (removed[i / kWord] >> (i % kWord) & 1) == 0;
    __syncthreads();  // every thread has read before one writes
    if (remains) {
      for (int64_t w = threadIdx.x; w < words; w += kThreads) removed[w] |= mask[i * words + w];
    }
    if (threadIdx.x == 0) kept[i] = remains;
    __syncthreads();
  }
}

int64_t numbers_of(const RoiAlignLaunch& all) {
  return all.regions * all.channels * all.bins_down * all.bins_across;
}

unsigned blocks_for(int64_t numbers) {
  return blocks_of((numbers + kThreads - 1) / kThreads, 1 << 16);
}

}  // namespace

void launch(const RoiAlignLaunch& all, const float* features, float* output, cudaStream_t stream) {
  const int64_t numbers = numbers_of(all);
  align<<<blocks_for(numbers), kThreads, 0, stream>>>(all, numbers, features, output);
}

void launch_backward(const RoiAlignLaunch& all, const float* of_output, float* gradient,
                     cudaStream_t stream) {
  const int64_t numbers = numbers_of(all);
  align_backward<<<blocks_for(numbers), kThreads, 0, stream>>>(all, numbers, of_output, gradient);
}

void launch_suppression(const float* boxes, int64_t count, float threshold, uint64_t* mask,
                        bool* kept, cudaStream_t stream) {
  const auto words = static_cast<unsigned>((count + kWord - 1) / kWord);
  const dim3 grid(static_cast<unsigned>((count + kThreads - 1) / kThreads), words);
  overlap_mask<<<grid, kThreads, 0, stream>>>(boxes, count, threshold, mask);
  keep_boxes<<<1, kThreads, words * sizeof(uint64_t), stream>>>(mask, count, kept);
}

}  // namespace ibot::kernels::cuda
