#include "ibot/kernels/gelu.h"

#include <ATen/ops/gelu.h>
#include <ATen/ops/gelu_backward.h>

#include "kernels/kernels.h"
#include "kernels/on_rows.h"

namespace ibot::kernels {
namespace {

torch::Tensor gelu_by_operators(const torch::Tensor& x) { return at::gelu(x); }

void gelu_backward_by_operators_(torch::Tensor gradient, const torch::Tensor& x) {
  at::gelu_backward_out(gradient, gradient, x);
}

torch::Tensor gelu_in_vectors(const torch::Tensor& x) {
  const auto input = x.contiguous();
  auto result = torch::empty_like(input);
  const auto* from = halves(input);
  auto* to = mutable_halves(result);
  at::parallel_for(0, input.numel(), kNumbersAThread, [&](int64_t first, int64_t last) {
    vector_loops()->gelu(from, to, first, last);
  });
  return result;
}

void gelu_backward_in_vectors_(torch::Tensor gradient, const torch::Tensor& x) {
  const auto input = x.contiguous();
  const auto* from = halves(input);
  auto* to = mutable_halves(gradient);
  at::parallel_for(0, input.numel(), kNumbersAThread, [&](int64_t first, int64_t last) {
    vector_loops()->gelu_gradient(from, to, first, last);
  });
}

// On a GPU the operators read and write once, as own code would.
Kernel<decltype(gelu)>& gelu_kernel() {
  static Kernel<decltype(gelu)> kernel("gelu", gelu_by_operators,
                                       {{torch::kCPU, with_vectors(gelu_in_vectors)}});
  return kernel;
}

Kernel<decltype(gelu_backward_)>& gelu_backward_kernel() {
  static Kernel<decltype(gelu_backward_)> kernel(
      "gelu_backward", gelu_backward_by_operators_,
      {{torch::kCPU, with_vectors(gelu_backward_in_vectors_)}});
  return kernel;
}

}  // namespace

torch::Tensor gelu(const torch::Tensor& x) {
  const bool own = x.scalar_type() == torch::kBFloat16;
  return (own ? gelu_kernel().on(x.device()) : gelu_by_operators)(x);
}

void gelu_backward_(torch::Tensor gradient, const torch::Tensor& x) {
  const bool own = x.scalar_type() == torch::kBFloat16 &&
                   gradient.scalar_type() == x.scalar_type() && gradient.is_contiguous();
  (own ? gelu_backward_kernel().on(x.device()) : gelu_backward_by_operators_)(gradient, x);
}

TableRow gelu_row() {
  return {gelu_kernel(),
          {torch::kBFloat16},
          [](const Trial& trial) -> Subject {
            Draw draw(trial);
            const auto x = draw.floats({trial.rows, trial.width}).mul_(3).to(trial.type);
            return {[=]() -> std::vector<torch::Tensor> { return {kernels::gelu(x)}; },
                    4.0 * static_cast<double>(x.numel())};
          },
          1024,
          1536};
}

TableRow gelu_backward_row() {
  return {gelu_backward_kernel(),
          {torch::kBFloat16},
          [](const Trial& trial) -> Subject {
            Draw draw(trial);
            const auto x = draw.floats({trial.rows, trial.width}).mul_(3).to(trial.type);
            const auto above = draw.halves({trial.rows, trial.width});
            const auto gradient = above.clone();
            return {[=]() -> std::vector<torch::Tensor> {
                      gelu_backward_(gradient, x);
                      return {gradient};
                    },
                    6.0 * static_cast<double>(x.numel()),
                    [=] { torch::Tensor(gradient).copy_(above); }};
          },
          1024,
          1536};
}

}  // namespace ibot::kernels
