// Loops over rows in the vectors of a processor.
#pragma once

#include <c10/util/BFloat16.h>

#include <cstdint>

namespace ibot::kernels {

// Rows lie one after the other, `width` numbers each; what may be null is left out.

struct NormalizeRows {
  int64_t width;
  float eps;
  const float* tokens;
  const float* scale;
  const float* shift;
  c10::BFloat16* output;
  c10::BFloat16* kept;  // before scale and shift; or null
  float* mean;          // of each row; or null, as rstd
  float* rstd;
};

struct NormGradientRows {
  int64_t width;
  const c10::BFloat16* gradient;
  const c10::BFloat16* kept;
  const float* rstd;
  const float* scale;
  const float* shift;
  const float* above;  // added to the result; or null
  float* result;       // or null
  c10::BFloat16* output;
};

/// [width], added to.
struct NormSums {
  float* scale;
  float* shift;
};

struct AddScaledRows {
  int64_t width;
  const float* tokens;
  const c10::BFloat16* branch;
  const float* row;      // of each row; or null
  const float* channel;  // [width]; or null
  float* output;
};

struct BranchGradientRows {
  int64_t width;
  const float* gradient;
  const float* row;        // or null
  const float* channel;    // or null, as scaled
  c10::BFloat16* rounded;  // gradient · row
  c10::BFloat16* scaled;   // gradient · row · channel
};

struct SoftmaxRows {
  int64_t width;
  float factor;
  c10::BFloat16* scores;  // replaced by softmax(factor · scores)
};

struct SoftmaxGradientRows {
  int64_t width;
  float factor;
  const c10::BFloat16* weights;
  c10::BFloat16* gradient;  // of the weights; replaced by that of the scores
};

/// Each loop does rows or numbers [first, last).
struct VectorLoops {
  void (*normalize)(const NormalizeRows&, int64_t first, int64_t last);
  void (*norm_gradient)(const NormGradientRows&, const NormSums&, int64_t first, int64_t last);
  void (*add_scaled)(const AddScaledRows&, int64_t first, int64_t last);
  /// Adds Σ gradient · row to sums, [width].
  void (*branch_gradient)(const BranchGradientRows&, float* sums, int64_t first, int64_t last);
  /// `room` holds a row.
  void (*softmax)(const SoftmaxRows&, float* room, int64_t first, int64_t last);
  void (*softmax_gradient)(const SoftmaxGradientRows&, int64_t first, int64_t last);
};

const VectorLoops& avx2_loops();
const VectorLoops& avx512_loops();

/// Those of this processor, or of what ATEN_CPU_CAPABILITY asks for; null: it has neither AVX2 nor
/// AVX-512.
const VectorLoops* vector_loops();

}  // namespace ibot::kernels
