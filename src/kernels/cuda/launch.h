// Entry points of the CUDA sources: pointers alone, so that they are compiled without LibTorch's
// headers.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace ibot::kernels::cuda {

enum class Element { kFloat, kHalf, kBFloat16 };

/// Rows of `width` numbers, one after the other; `element` is the type of what is not float.
struct Rows {
  int64_t count = 0;
  int64_t width = 0;
  Element element = Element::kFloat;
};

/// Blocks whose column sums are added afterwards: Σ over them is a row of [kPartialSums, width].
inline constexpr int64_t kPartialSums = 512;

struct NormalizeLaunch {
  Rows rows;
  float eps;
  const float* tokens;
  const float* scale;
  const float* shift;
  void* output;
  void* kept;  // or null
  float* mean;
  float* rstd;  // both or none
};

struct NormalizeBackwardLaunch {
  Rows rows;
  const void* gradient;
  const void* kept;
  const float* rstd;
  const float* scale;
  const float* shift;
  const float* above;  // or null
  float* of_rows;      // or null
  void* output;
  float* scale_sums;  // [kPartialSums, width]
  float* shift_sums;
};

struct AddScaledLaunch {
  Rows rows;
  const float* tokens;
  const void* branch;
  const float* row;      // or null
  const float* channel;  // or null
  float* output;
};

struct AddScaledBackwardLaunch {
  Rows rows;
  const float* gradient;
  const float* row;      // or null
  const float* channel;  // or null, as scaled
  void* rounded;
  void* scaled;
  float* sums;  // [kPartialSums, width]
};

/// Of student and teacher scores of type `rows.element`.
struct CrossEntropyLaunch {
  Rows rows;
  const void* student;
  const void* teacher;
  const float* center;  // [width]
  float student_inverse;
  float teacher_inverse;
  float* sums;  // [rows, 4]
};

struct RoiAlignLaunch {
  int64_t images, channels, height, width;
  int64_t regions, bins_down, bins_across, samples;
  float scale;
  const float* region;  // [regions, 5]
};

void launch(const NormalizeLaunch& all, cudaStream_t stream);
void launch(const NormalizeBackwardLaunch& all, cudaStream_t stream);
void launch(const AddScaledLaunch& all, cudaStream_t stream);
void launch(const AddScaledBackwardLaunch& all, cudaStream_t stream);

/// result [rows]; fills all.sums.
void launch(const CrossEntropyLaunch& all, float* result, cudaStream_t stream);
/// gradient of the student's scores, in their type, from that of the rows; reads all.sums.
void launch_backward(const CrossEntropyLaunch& all, const float* of_rows, void* gradient,
                     cudaStream_t stream);

/// features [images, channels, height, width] → output [regions, channels, down, across].
void launch(const RoiAlignLaunch& all, const float* features, float* output, cudaStream_t stream);
/// Adds to `gradient`, of the features.
void launch_backward(const RoiAlignLaunch& all, const float* of_output, float* gradient,
                     cudaStream_t stream);

/// Boxes [count, 4] by descending score. `mask` is [count, (count + 63) / 64] words to work in;
/// kept[i] tells whether box i remains.
void launch_suppression(const float* boxes, int64_t count, float threshold, uint64_t* mask,
                        bool* kept, cudaStream_t stream);

}  // namespace ibot::kernels::cuda
