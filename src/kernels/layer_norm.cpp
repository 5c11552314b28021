#include "ibot/kernels/layer_norm.h"

#include <ATen/ops/native_layer_norm.h>
#include <ATen/ops/native_layer_norm_backward.h>

#include "kernels/cuda/functions.h"
#include "kernels/kernels.h"
#include "kernels/on_rows.h"

namespace ibot::kernels {
namespace {

/// The rows as a norm takes them: only a CPU's mixes half-precision rows with float32 parameters.
torch::Tensor rows_for(const NormParameters& norm, const torch::Tensor& rows) {
  return rows.is_cpu() ? rows : rows.to(norm.scale.scalar_type());
}

torch::Tensor normalize_by_operators(const torch::Tensor& rows, const NormParameters& norm,
                                     torch::ScalarType dtype, const NormRoom& room) {
  const auto [output, mean, rstd] = at::native_layer_norm(rows_for(norm, rows), norm.scale.sizes(),
                                                          norm.scale, norm.shift, norm.eps);
  if (room.mean.defined()) torch::Tensor(room.mean).copy_(mean);
  if (room.rstd.defined()) torch::Tensor(room.rstd).copy_(rstd);
  if (room.normalized.defined()) torch::Tensor(room.normalized).copy_((rows - mean) * rstd);
  return output.to(dtype);
}

NormGradients normalize_backward_by_operators(const NormBackward& in, const NormParameters& norm) {
  const auto normalized = in.normalized.to(norm.scale.scalar_type());
  // Of what is normalized already, mean and deviation are 0 and 1.
  const bool of_rows = in.of_rows.defined();
  auto [rows, scale, shift] = at::native_layer_norm_backward(
      in.gradient.to(normalized.scalar_type()), normalized, norm.scale.sizes(),
      torch::zeros_like(in.rstd), torch::ones_like(in.rstd), norm.scale, norm.shift,
      {of_rows, true, true});
  if (of_rows) torch::Tensor(in.of_rows).copy_(rows.mul_(in.rstd));
  if (of_rows && in.above.defined()) torch::Tensor(in.of_rows).add_(in.above);
  // What the linear layer has read: computed again, not kept.
  return {scale, shift,
          torch::addcmul(norm.shift, normalized, norm.scale).to(in.normalized.scalar_type())};
}

torch::Tensor normalize_in_vectors(const torch::Tensor& rows, const NormParameters& norm,
                                   torch::ScalarType dtype, const NormRoom& room) {
  const auto input = rows.contiguous(), scale = norm.scale.contiguous();
  const auto shift = norm.shift.contiguous();
  auto output = torch::empty(rows.sizes(), rows.options().dtype(dtype));
  const NormalizeRows all{rows.size(1),
                          static_cast<float>(norm.eps),
                          floats(input),
                          floats(scale),
                          floats(shift),
                          mutable_halves(output),
                          mutable_halves(room.normalized),
                          mutable_floats(room.mean),
                          mutable_floats(room.rstd)};
  at::parallel_for(0, rows.size(0), rows_a_thread(all.width), [&](int64_t first, int64_t last) {
    vector_loops()->normalize(all, first, last);
  });
  return output;
}

NormGradients normalize_backward_in_vectors(const NormBackward& in, const NormParameters& norm) {
  const auto gradient = in.gradient.contiguous(), normalized = in.normalized.contiguous();
  const auto scale = norm.scale.contiguous(), shift = norm.shift.contiguous();
  const auto rstd = in.rstd.contiguous();
  const auto above = in.above.defined() ? in.above.contiguous() : in.above;
  const int64_t count = gradient.size(0), width = gradient.size(1);
  const auto parts = parts_of(count, width);
  // Sums of its own for every thread, added at the end in a fixed order.
  auto sums = torch::zeros({2, parts, width}, scale.options());
  NormGradients result;
  result.output = torch::empty_like(normalized);
  const NormGradientRows all{width,
                             halves(gradient),
                             halves(normalized),
                             floats(rstd),
                             floats(scale),
                             floats(shift),
                             floats(above),
                             mutable_floats(in.of_rows),
                             mutable_halves(result.output)};
  auto* of_scale = sums.mutable_data_ptr<float>();
  for_parts_of_rows(count, parts, [&](int64_t first, int64_t last, int64_t part) {
    auto* own = of_scale + part * width;
    vector_loops()->norm_gradient(all, {own, own + parts * width}, first, last);
  });
  result.scale = sums[0].sum(0);
  result.shift = sums[1].sum(0);
  return result;
}

/// Own code writes row after row.
bool takes_room(const NormRoom& room) {
  const auto fits = [](const torch::Tensor& tensor) {
    return !tensor.defined() || tensor.is_contiguous();
  };
  return fits(room.normalized) && fits(room.mean) && fits(room.rstd);
}

Kernel<decltype(normalize)>& normalize_kernel() {
  static Kernel<decltype(normalize)> kernel(
      "normalize", normalize_by_operators,
      {{torch::kCPU, with_vectors(normalize_in_vectors)}, {torch::kCUDA, cuda::normalize}});
  return kernel;
}

Kernel<decltype(normalize_backward)>& normalize_backward_kernel() {
  static Kernel<decltype(normalize_backward)> kernel(
      "normalize_backward", normalize_backward_by_operators,
      {{torch::kCPU, with_vectors(normalize_backward_in_vectors)},
       {torch::kCUDA, cuda::normalize_backward}});
  return kernel;
}

NormParameters drawn_norm(Draw& draw, int64_t width) {
  return {draw.floats({width}), draw.floats({width}), 1e-6};
}

}  // namespace

torch::Tensor normalize(const torch::Tensor& rows, const NormParameters& norm,
                        torch::ScalarType dtype, const NormRoom& room) {
  const bool own = is_mixed(rows, dtype) && takes_room(room);
  const auto function = own ? normalize_kernel().on(rows.device()) : normalize_by_operators;
  return function(rows, norm, dtype, room);
}

NormGradients normalize_backward(const NormBackward& backward, const NormParameters& norm) {
  const auto type = backward.normalized.scalar_type();
  const auto fits = [](const torch::Tensor& stream) {
    return !stream.defined() || stream.scalar_type() == torch::kFloat;
  };
  const auto& room = backward.of_rows;
  const bool own = is_mixed(norm.scale, type) && backward.gradient.scalar_type() == type &&
                   fits(backward.above) && fits(room) && (!room.defined() || room.is_contiguous());
  return (own ? normalize_backward_kernel().on(norm.scale.device())
              : normalize_backward_by_operators)(backward, norm);
}

TableRow normalize_row() {
  return {normalize_kernel(), half_types(),
          [](const Trial& trial) -> Subject {
            Draw draw(trial);
            const auto rows = draw.floats({trial.rows, trial.width});
            const auto norm = drawn_norm(draw, trial.width);
            const NormRoom room{draw.room({trial.rows, trial.width}, trial.type),
                                draw.room({trial.rows, 1}, torch::kFloat),
                                draw.room({trial.rows, 1}, torch::kFloat)};
            return {[=]() -> std::vector<torch::Tensor> {
                      return {normalize(rows, norm, trial.type, room), room.normalized, room.mean,
                              room.rstd};
                    },
                    8.0 * static_cast<double>(rows.numel())};
          },
          1024, 384};
}

TableRow normalize_backward_row() {
  return {normalize_backward_kernel(), half_types(),
          [](const Trial& trial) -> Subject {
            Draw draw(trial);
            const auto norm = drawn_norm(draw, trial.width);
            const NormBackward in{
                draw.halves({trial.rows, trial.width}), draw.halves({trial.rows, trial.width}),
                draw.floats({trial.rows, 1}).abs(), draw.floats({trial.rows, trial.width}),
                draw.room({trial.rows, trial.width}, torch::kFloat)};
            return {[=]() -> std::vector<torch::Tensor> {
                      const auto out = normalize_backward(in, norm);
                      return {in.of_rows, out.scale, out.shift, out.output};
                    },
                    14.0 * static_cast<double>(in.gradient.numel())};
          },
          1024, 384};
}

}  // namespace ibot::kernels
