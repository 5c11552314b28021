// What kernels compute for one number: the same source for a CPU's vectors and a GPU's threads, so
// that tests on a CPU test what a GPU computes.
#pragma once

// Without external linkage: a source that is compiled for newer processors must not lend its code
// to others.
#ifdef __CUDACC__
#define IBOT_BOTH static __host__ __device__ __forceinline__
#else
#define IBOT_BOTH static inline
#endif

namespace ibot::kernels {

/// V: float, or a vector of them.
template <class V>
IBOT_BOTH V normalized(V x, V mean, V rstd) {
  return (x - mean) * rstd;
}

template <class V>
IBOT_BOTH V affine(V normalized_x, V scale, V shift) {
  return normalized_x * scale + shift;
}

/// The gradient of a norm's input. `gradient` is that of the normalized number n; the means are
/// those of gradient and gradient · n over the row.
template <class V>
IBOT_BOTH V norm_gradient(V gradient, V n, V rstd, V mean_gradient, V mean_product) {
  return (gradient - mean_gradient - n * mean_product) * rstd;
}

/// token + factor · branch.
template <class V>
IBOT_BOTH V add_scaled(V token, V branch, V factor) {
  return token + branch * factor;
}

/// (score - center) / temperature, from 1 / temperature.
template <class V>
IBOT_BOTH V sharpened(V score, V center, V inverse_temperature) {
  return (score - center) * inverse_temperature;
}

/// What a row of cross-entropy is computed from: largest score and sum of exponentials less it, of
/// student and teacher.
struct RowSums {
  float student_max;
  float student_sum;
  float teacher_max;
  float teacher_sum;
};

/// -Σ p_t log p_s. `product` is Σ exp(teacher - teacher_max) · student.
IBOT_BOTH float cross_entropy_of(const RowSums& sums, float log_student_sum, float product) {
  return sums.student_max + log_student_sum - product / sums.teacher_sum;
}

/// Its gradient by a student's score before the temperature: `weight` is that of the row over the
/// temperature.
template <class V>
IBOT_BOTH V cross_entropy_gradient(V student_exp, V teacher_exp, V student_weight,
                                   V teacher_weight) {
  return student_exp * student_weight - teacher_exp * teacher_weight;
}

}  // namespace ibot::kernels
