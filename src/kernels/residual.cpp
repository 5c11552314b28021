#include "ibot/kernels/residual.h"

#include "kernels/cuda/functions.h"
#include "kernels/kernels.h"
#include "kernels/on_rows.h"

namespace ibot::kernels {
namespace {

void add_by_operators_(torch::Tensor output, const torch::Tensor& tokens, torch::Tensor branch,
                       const RowScale& scale) {
  if (scale.channel.defined()) branch = scale.channel * branch;
  if (scale.row.defined()) branch.mul_(scale.row.to(branch.scalar_type()));
  at::add_out(output, tokens, branch);
}

BranchGradient add_backward_by_operators(const torch::Tensor& gradient, const RowScale& scale,
                                         torch::ScalarType dtype) {
  const auto of_rows =
      scale.row.defined() ? gradient * scale.row.to(gradient.scalar_type()) : gradient;
  const auto rounded = of_rows.to(dtype);
  const auto sums = at::isReducedFloatingType(of_rows.scalar_type())
                        ? of_rows.sum({0}, false, torch::kFloat)
                        : of_rows.sum(0);
  return {rounded, scale.channel.defined() ? (of_rows * scale.channel).to(dtype) : rounded, sums};
}

torch::Tensor contiguous(const torch::Tensor& tensor) {
  return tensor.defined() ? tensor.contiguous() : tensor;
}

void add_in_vectors_(torch::Tensor output, const torch::Tensor& tokens, torch::Tensor branch,
                     const RowScale& scale) {
  const auto stream = tokens.contiguous(), added = branch.contiguous();
  const auto row = contiguous(scale.row), channel = contiguous(scale.channel);
  const AddScaledRows all{tokens.size(1), floats(stream),  halves(added),
                          floats(row),    floats(channel), mutable_floats(output)};
  at::parallel_for(0, tokens.size(0), rows_a_thread(all.width), [&](int64_t first, int64_t last) {
    vector_loops()->add_scaled(all, first, last);
  });
}

BranchGradient add_backward_in_vectors(const torch::Tensor& gradient, const RowScale& scale,
                                       torch::ScalarType dtype) {
  const auto above = gradient.contiguous();
  const auto row = contiguous(scale.row), channel = contiguous(scale.channel);
  const int64_t count = above.size(0), width = above.size(1);
  const auto parts = parts_of(count, width);
  // Sums of its own for every thread.
  auto sums = torch::zeros({parts, width}, above.options());
  const auto rounded = torch::empty({count, width}, above.options().dtype(dtype));
  const auto scaled = channel.defined() ? torch::empty_like(rounded) : torch::Tensor();
  const BranchGradientRows all{width,           floats(above),           floats(row),
                               floats(channel), mutable_halves(rounded), mutable_halves(scaled)};
  auto* own = sums.mutable_data_ptr<float>();
  for_parts_of_rows(count, parts, [&](int64_t first, int64_t last, int64_t part) {
    vector_loops()->branch_gradient(all, own + part * width, first, last);
  });
  // Without layer scale both gradients are one tensor.
  return {rounded, scaled.defined() ? scaled : rounded, sums.sum(0)};
}

Kernel<decltype(add_scaled_)>& add_kernel() {
  static Kernel<decltype(add_scaled_)> kernel(
      "add_scaled", add_by_operators_,
      {{torch::kCPU, with_vectors(add_in_vectors_)}, {torch::kCUDA, cuda::add_scaled_}});
  return kernel;
}

Kernel<decltype(add_scaled_backward)>& add_backward_kernel() {
  static Kernel<decltype(add_scaled_backward)> kernel(
      "add_scaled_backward", add_backward_by_operators,
      {{torch::kCPU, with_vectors(add_backward_in_vectors)},
       {torch::kCUDA, cuda::add_scaled_backward}});
  return kernel;
}

bool takes_scale(const RowScale& scale) {
  const auto fits = [](const torch::Tensor& tensor) {
    return !tensor.defined() || tensor.scalar_type() == torch::kFloat;
  };
  return fits(scale.row) && fits(scale.channel);
}

RowScale drawn_scale(Draw& draw, const Trial& trial) {
  return {draw.floats({trial.rows, 1}), draw.floats({trial.width})};
}

}  // namespace

void add_scaled_(torch::Tensor output, const torch::Tensor& tokens, torch::Tensor branch,
                 const RowScale& scale) {
  const bool own = is_mixed(tokens, branch.scalar_type()) && takes_scale(scale) &&
                   output.scalar_type() == torch::kFloat && output.is_contiguous();
  (own ? add_kernel().on(tokens.device()) : add_by_operators_)(output, tokens, branch, scale);
}

BranchGradient add_scaled_backward(const torch::Tensor& gradient, const RowScale& scale,
                                   torch::ScalarType dtype) {
  const bool own = is_mixed(gradient, dtype) && takes_scale(scale);
  return (own ? add_backward_kernel().on(gradient.device()) : add_backward_by_operators)(
      gradient, scale, dtype);
}

TableRow add_scaled_row() {
  return {add_kernel(), half_types(),
          [](const Trial& trial) -> Subject {
            Draw draw(trial);
            const auto tokens = draw.floats({trial.rows, trial.width});
            const auto branch = draw.halves({trial.rows, trial.width});
            const auto scale = drawn_scale(draw, trial);
            const auto output = draw.room(tokens.sizes(), torch::kFloat);
            return {[=]() -> std::vector<torch::Tensor> {
                      add_scaled_(output, tokens, branch, scale);
                      return {output};
                    },
                    10.0 * static_cast<double>(tokens.numel())};
          },
          1024, 384};
}

TableRow add_scaled_backward_row() {
  return {add_backward_kernel(), half_types(),
          [](const Trial& trial) -> Subject {
            Draw draw(trial);
            const auto gradient = draw.floats({trial.rows, trial.width});
            const auto scale = drawn_scale(draw, trial);
            return {[=]() -> std::vector<torch::Tensor> {
                      const auto out = add_scaled_backward(gradient, scale, trial.type);
                      return {out.rounded, out.scaled, out.sums};
                    },
                    8.0 * static_cast<double>(gradient.numel())};
          },
          1024, 384};
}

}  // namespace ibot::kernels
