#include "ibot/kernels/softmax.h"

#include <ATen/ops/_softmax_backward_data.h>

#include "kernels/kernels.h"
#include "kernels/on_rows.h"

namespace ibot::kernels {
namespace {

torch::Tensor softmax_by_operators(torch::Tensor scores, double factor) {
  return scores.mul_(factor).softmax(-1);
}

torch::Tensor softmax_backward_by_operators(torch::Tensor gradient, const torch::Tensor& weights,
                                            double factor) {
  return at::_softmax_backward_data(gradient, weights, -1, weights.scalar_type()).mul_(factor);
}

torch::Tensor softmax_in_vectors(torch::Tensor scores, double factor) {
  const SoftmaxRows all{scores.size(-1), static_cast<float>(factor), mutable_halves(scores)};
  at::parallel_for(0, scores.numel() / all.width, rows_a_thread(all.width),
                   [&](int64_t first, int64_t last) {
                     // A row in float32: between its two passes nothing is rounded.
                     std::vector<float> room(static_cast<size_t>(all.width));
                     vector_loops()->softmax(all, room.data(), first, last);
                   });
  return scores;
}

torch::Tensor softmax_backward_in_vectors(torch::Tensor gradient, const torch::Tensor& weights,
                                          double factor) {
  const auto kept = weights.contiguous();
  const SoftmaxGradientRows all{kept.size(-1), static_cast<float>(factor), halves(kept),
                                mutable_halves(gradient)};
  at::parallel_for(
      0, kept.numel() / all.width, rows_a_thread(all.width),
      [&](int64_t first, int64_t last) { vector_loops()->softmax_gradient(all, first, last); });
  return gradient;
}

// A GPU's attention is fused as a whole.
Kernel<decltype(scaled_softmax)>& softmax_kernel() {
  static Kernel<decltype(scaled_softmax)> kernel("softmax", softmax_by_operators,
                                                 {{torch::kCPU, with_vectors(softmax_in_vectors)}});
  return kernel;
}

Kernel<decltype(scaled_softmax_backward)>& softmax_backward_kernel() {
  static Kernel<decltype(scaled_softmax_backward)> kernel(
      "softmax_backward", softmax_backward_by_operators,
      {{torch::kCPU, with_vectors(softmax_backward_in_vectors)}});
  return kernel;
}

/// Own code works in place on rows that follow each other.
bool takes_scores(const torch::Tensor& rows) {
  return rows.scalar_type() == torch::kBFloat16 && rows.is_contiguous() && rows.numel() > 0;
}

}  // namespace

torch::Tensor scaled_softmax(torch::Tensor scores, double factor) {
  return (takes_scores(scores) ? softmax_kernel().on(scores.device()) : softmax_by_operators)(
      scores, factor);
}

torch::Tensor scaled_softmax_backward(torch::Tensor gradient, const torch::Tensor& weights,
                                      double factor) {
  const bool own = takes_scores(gradient) && weights.scalar_type() == gradient.scalar_type();
  return (own ? softmax_backward_kernel().on(gradient.device()) : softmax_backward_by_operators)(
      gradient, weights, factor);
}

TableRow softmax_row() {
  return {softmax_kernel(),
          {torch::kBFloat16},
          [](const Trial& trial) -> Subject {
            Draw draw(trial);
            const auto given = draw.floats({trial.rows, trial.width}).mul_(8).to(trial.type);
            const auto scores = given.clone();
            return {[=]() -> std::vector<torch::Tensor> { return {scaled_softmax(scores, 0.125)}; },
                    4.0 * static_cast<double>(given.numel()),
                    [=] { torch::Tensor(scores).copy_(given); }};
          },
          6 * 197,
          197};
}

TableRow softmax_backward_row() {
  return {softmax_backward_kernel(),
          {torch::kBFloat16},
          [](const Trial& trial) -> Subject {
            Draw draw(trial);
            const auto weights = draw.floats({trial.rows, trial.width}).softmax(-1).to(trial.type);
            const auto above = draw.halves({trial.rows, trial.width});
            const auto gradient = above.clone();
            return {[=]() -> std::vector<torch::Tensor> {
                      return {scaled_softmax_backward(gradient, weights, 0.125)};
                    },
                    6.0 * static_cast<double>(weights.numel()),
                    [=] { torch::Tensor(gradient).copy_(above); }};
          },
          6 * 197,
          197};
}

}  // namespace ibot::kernels
