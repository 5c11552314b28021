// From tensors to the pointers that the CUDA sources take.
#include "kernels/cuda/functions.h"

#include <ATen/ops/zeros.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "kernels/cuda/launch.h"

namespace ibot::kernels::cuda {
namespace {

Element element_of(torch::ScalarType type) {
  if (type == torch::kHalf) return Element::kHalf;
  return type == torch::kBFloat16 ? Element::kBFloat16 : Element::kFloat;
}

Rows rows_of(const torch::Tensor& tensor, torch::ScalarType type) {
  return {tensor.size(0), tensor.size(1), element_of(type)};
}

torch::Tensor packed(const torch::Tensor& tensor) {
  return tensor.defined() ? tensor.contiguous() : tensor;
}

const float* floats(const torch::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<float>() : nullptr;
}

float* mutable_floats(const torch::Tensor& tensor) {
  return tensor.defined() ? tensor.mutable_data_ptr<float>() : nullptr;
}

const void* data(const torch::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr() : nullptr;
}

void* mutable_data(const torch::Tensor& tensor) {
  return tensor.defined() ? tensor.mutable_data_ptr() : nullptr;
}

/// A row for each block of the launch; none is left out, since blocks without rows write zeros.
torch::Tensor partial_sums(int64_t width, const torch::Tensor& like) {
  return torch::empty({kPartialSums, width}, like.options().dtype(torch::kFloat));
}

/// Calls run(stream) on the tensor's device.
template <class Run>
void on_stream(const torch::Tensor& tensor, const Run& run) {
  const c10::cuda::CUDAGuard guard(tensor.device());
  run(c10::cuda::getCurrentCUDAStream(tensor.device().index()).stream());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

torch::Tensor normalize_on_gpu(const torch::Tensor& rows, const NormParameters& norm,
                               torch::ScalarType dtype, const NormRoom& room) {
  const auto tokens = packed(rows), scale = packed(norm.scale), shift = packed(norm.shift);
  const auto output = torch::empty(rows.sizes(), rows.options().dtype(dtype));
  if (rows.numel() == 0) return output;
  const NormalizeLaunch all{rows_of(rows, dtype),
                            static_cast<float>(norm.eps),
                            floats(tokens),
                            floats(scale),
                            floats(shift),
                            mutable_data(output),
                            mutable_data(room.normalized),
                            mutable_floats(room.mean),
                            mutable_floats(room.rstd)};
  on_stream(rows, [&](cudaStream_t stream) { launch(all, stream); });
  return output;
}

NormGradients normalize_backward_on_gpu(const NormBackward& in, const NormParameters& norm) {
  const auto gradient = packed(in.gradient), kept = packed(in.normalized), rstd = packed(in.rstd);
  const auto scale = packed(norm.scale), shift = packed(norm.shift), above = packed(in.above);
  const auto width = gradient.size(1);
  const auto scale_sums = partial_sums(width, gradient), shift_sums = partial_sums(width, gradient);
  const auto output = torch::empty_like(kept);
  const NormalizeBackwardLaunch all{rows_of(gradient, kept.scalar_type()),
                                    data(gradient),
                                    data(kept),
                                    floats(rstd),
                                    floats(scale),
                                    floats(shift),
                                    floats(above),
                                    mutable_floats(in.of_rows),
                                    mutable_data(output),
                                    mutable_floats(scale_sums),
                                    mutable_floats(shift_sums)};
  on_stream(gradient, [&](cudaStream_t stream) { launch(all, stream); });
  return {scale_sums.sum(0), shift_sums.sum(0), output};
}

void add_scaled_on_gpu(torch::Tensor output, const torch::Tensor& tokens, torch::Tensor branch,
                       const RowScale& scale) {
  if (tokens.numel() == 0) return;
  const auto stream_rows = packed(tokens), added = packed(branch);
  const auto row = packed(scale.row), channel = packed(scale.channel);
  const AddScaledLaunch all{rows_of(tokens, branch.scalar_type()),
                            floats(stream_rows),
                            data(added),
                            floats(row),
                            floats(channel),
                            mutable_floats(output)};
  on_stream(tokens, [&](cudaStream_t stream) { launch(all, stream); });
}

BranchGradient add_scaled_backward_on_gpu(const torch::Tensor& gradient, const RowScale& scale,
                                          torch::ScalarType dtype) {
  const auto above = packed(gradient), row = packed(scale.row), channel = packed(scale.channel);
  const auto sums = partial_sums(above.size(1), above);
  const auto rounded = torch::empty(above.sizes(), above.options().dtype(dtype));
  const auto scaled = channel.defined() ? torch::empty_like(rounded) : torch::Tensor();
  const AddScaledBackwardLaunch all{
      rows_of(above, dtype), floats(above),        floats(row),         floats(channel),
      mutable_data(rounded), mutable_data(scaled), mutable_floats(sums)};
  on_stream(above, [&](cudaStream_t stream) { launch(all, stream); });
  return {rounded, scaled.defined() ? scaled : rounded, sums.sum(0)};
}

CrossEntropyLaunch entropy_launch(const torch::Tensor& student, const CenteredTeacher& teacher,
                                  double temperature, const torch::Tensor& sums) {
  return {rows_of(student, student.scalar_type()),
          data(student),
          data(teacher.logits),
          floats(teacher.center),
          static_cast<float>(1 / temperature),
          static_cast<float>(1 / teacher.temperature),
          mutable_floats(sums)};
}

CenteredTeacher packed(const CenteredTeacher& teacher) {
  return {teacher.logits.contiguous(), teacher.center.contiguous(), teacher.temperature};
}

torch::Tensor entropy_on_gpu(const torch::Tensor& logits, const CenteredTeacher& teacher,
                             double temperature, torch::Tensor sums) {
  const auto student = packed(logits);
  const auto compared = packed(teacher);
  const auto result = torch::empty({logits.size(0)}, logits.options().dtype(torch::kFloat));
  // A launch of no blocks is an error.
  if (logits.numel() == 0) return result.zero_();
  const auto all = entropy_launch(student, compared, temperature, sums);
  on_stream(logits, [&](cudaStream_t stream) { launch(all, mutable_floats(result), stream); });
  return result;
}

torch::Tensor entropy_backward_on_gpu(const torch::Tensor& logits, const CenteredTeacher& teacher,
                                      double temperature, const torch::Tensor& sums,
                                      const torch::Tensor& gradient) {
  const auto student = packed(logits), of_rows = packed(gradient);
  const auto compared = packed(teacher);
  const auto result = torch::empty_like(student);
  if (logits.numel() == 0) return result;
  const auto all = entropy_launch(student, compared, temperature, sums);
  on_stream(logits, [&](cudaStream_t stream) {
    launch_backward(all, floats(of_rows), mutable_data(result), stream);
  });
  return result;
}

RoiAlignLaunch align_launch(at::IntArrayRef sizes, const torch::Tensor& regions,
                            const RegionOptions& options) {
  return {sizes[0],          sizes[1],        sizes[2],
          sizes[3],          regions.size(0), options.output[0],
          options.output[1], options.samples, static_cast<float>(options.scale),
          floats(regions)};
}

torch::Tensor align_on_gpu(const torch::Tensor& features, const torch::Tensor& regions,
                           const RegionOptions& options) {
  const auto map = packed(features), boxes = packed(regions);
  const auto output = torch::empty(
      {boxes.size(0), map.size(1), options.output[0], options.output[1]}, map.options());
  if (output.numel() == 0) return output;
  const auto all = align_launch(map.sizes(), boxes, options);
  on_stream(map,
            [&](cudaStream_t stream) { launch(all, floats(map), mutable_floats(output), stream); });
  return output;
}

torch::Tensor align_backward_on_gpu(const torch::Tensor& gradient, const torch::Tensor& regions,
                                    at::IntArrayRef sizes, const RegionOptions& options) {
  const auto above = packed(gradient), boxes = packed(regions);
  const auto result = at::zeros(sizes, above.options());
  if (above.numel() == 0) return result;
  const auto all = align_launch(sizes, boxes, options);
  on_stream(above, [&](cudaStream_t stream) {
    launch_backward(all, floats(above), mutable_floats(result), stream);
  });
  return result;
}

torch::Tensor remaining_on_gpu(const torch::Tensor& boxes, double threshold) {
  const auto all = packed(boxes);
  // A bit for each pair of boxes.
  const auto count = all.size(0), words = (count + 63) / 64;
  const auto kept = torch::empty({count}, all.options().dtype(torch::kBool));
  if (count == 0) return kept;
  const auto mask = torch::empty({count, words}, all.options().dtype(torch::kLong));
  on_stream(all, [&](cudaStream_t stream) {
    launch_suppression(floats(all), count, static_cast<float>(threshold),
                       static_cast<uint64_t*>(mutable_data(mask)), kept.mutable_data_ptr<bool>(),
                       stream);
  });
  return kept;
}

}  // namespace

decltype(kernels::normalize)* const normalize = normalize_on_gpu;
decltype(kernels::normalize_backward)* const normalize_backward = normalize_backward_on_gpu;
decltype(kernels::add_scaled_)* const add_scaled_ = add_scaled_on_gpu;
decltype(kernels::add_scaled_backward)* const add_scaled_backward = add_scaled_backward_on_gpu;
decltype(kernels::centered_cross_entropy)* const centered_cross_entropy = entropy_on_gpu;
decltype(kernels::centered_cross_entropy_backward)* const centered_cross_entropy_backward =
    entropy_backward_on_gpu;
decltype(kernels::align_regions)* const align_regions = align_on_gpu;
decltype(kernels::align_regions_backward)* const align_regions_backward = align_backward_on_gpu;
decltype(kernels::remaining_boxes)* const remaining_boxes = remaining_on_gpu;

}  // namespace ibot::kernels::cuda
