// Cross-entropy of a student's scores with a teacher's, centered and sharpened: a block a row, both
// read without a probability being stored.
#include "kernels/cuda/device.cuh"

namespace ibot::kernels::cuda {
namespace {

constexpr float kLeast = -INFINITY;

template <class T>
struct Scores {
  const T* student;
  const T* teacher;
  const CrossEntropyLaunch& all;

  __device__ float of_student(int64_t i) const {
    return sharpened(wide(student[i]), 0.0F, all.student_inverse);
  }
  __device__ float of_teacher(int64_t i) const {
    return sharpened(wide(teacher[i]), all.center[i], all.teacher_inverse);
  }
};

template <class T>
__global__ void entropy_rows(CrossEntropyLaunch all, const T* student, const T* teacher,
                             float* result) {
  const int64_t width = all.rows.width;
  for (int64_t r = blockIdx.x; r < all.rows.count; r += gridDim.x) {
    const Scores<T> scores{student + r * width, teacher + r * width, all};
    float s_max = kLeast, t_max = kLeast;
    for (int64_t i = threadIdx.x; i < width; i += kThreads) {
      s_max = fmaxf(s_max, scores.of_student(i));
      t_max = fmaxf(t_max, scores.of_teacher(i));
    }
    RowSums sums{};
    sums.student_max = over_block(s_max, kLeast, Larger());
    sums.teacher_max = over_block(t_max, kLeast, Larger());
    // Less the largest score: no exponential overflows, and one is 1.
    float s_sum = 0, t_sum = 0, product = 0;
    for (int64_t i = threadIdx.x; i < width; i += kThreads) {
      const float score = scores.of_student(i);
      const float weight = expf(scores.of_teacher(i) - sums.teacher_max);
      s_sum += expf(score - sums.student_max);
      t_sum += weight;
      product += weight * score;
    }
    sums.student_sum = block_sum(s_sum);
    sums.teacher_sum = block_sum(t_sum);
    product = block_sum(product);
    if (threadIdx.x == 0) {
      result[r] = cross_entropy_of(sums, logf(sums.student_sum), product);
      reinterpret_cast<RowSums*>(all.sums)[r] = sums;
    }
  }
}

template <class T>
__global__ void entropy_rows_backward(CrossEntropyLaunch all, const T* student, const T* teacher,
                                      const float* of_rows, T* gradient) {
  const int64_t width = all.rows.width;
  for (int64_t r = blockIdx.x; r < all.rows.count; r += gridDim.x) {
    const Scores<T> scores{student + r * width, teacher + r * width, all};
    const RowSums sums = reinterpret_cast<const RowSums*>(all.sums)[r];
    const float weight = of_rows[r] * all.student_inverse;
    const float s_weight = weight / sums.student_sum, t_weight = weight / sums.teacher_sum;
    for (int64_t i = threadIdx.x; i < width; i += kThreads) {
      const float s = expf(scores.of_student(i) - sums.student_max);
      const float t = expf(scores.of_teacher(i) - sums.teacher_max);
      put(gradient + r * width + i, cross_entropy_gradient(s, t, s_weight, t_weight));
    }
  }
}

}  // namespace

void launch(const CrossEntropyLaunch& all, float* result, cudaStream_t stream) {
  with_element(all.rows.element, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    entropy_rows<<<blocks_of(all.rows.count, 1 << 16), kThreads, 0, stream>>>(
        all, static_cast<const T*>(all.student), static_cast<const T*>(all.teacher), result);
  });
}

void launch_backward(const CrossEntropyLaunch& all, const float* of_rows, void* gradient,
                     cudaStream_t stream) {
  with_element(all.rows.element, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    entropy_rows_backward<<<blocks_of(all.rows.count, 1 << 16), kThreads, 0, stream>>>(
        all, static_cast<const T*>(all.student), static_cast<const T*>(all.teacher), of_rows,
        static_cast<T*>(gradient));
  });
}

}  // namespace ibot::kernels::cuda
