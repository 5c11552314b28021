#include "ibot/nn/lean_linear.h"

#include <ATen/ops/gelu_backward.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ibot/nn/autocast_scope.h"
#include "nn/lean.h"

namespace ibot::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Gradients of a linear layer's input, weight and bias.
struct LinearGradients {
  torch::Tensor input, weight, bias;
};

LinearGradients linear_backward(const torch::Tensor& gradient, const torch::Tensor& input,
                                const torch::Tensor& weight, bool has_bias) {
  const auto rows = gradient.flatten(0, -2);
  return {rows.mm(weight).view(input.sizes()), rows.t().mm(input.flatten(0, -2)),
          has_bias ? rows.sum(0) : torch::Tensor()};
}

/// The shape of `rows` with another width.
std::vector<int64_t> with_width(const torch::Tensor& rows, int64_t width) {
  auto shape = rows.sizes().vec();
  shape.back() = width;
  return shape;
}

/// linear(in_windows(norm(tokens))), tokens [..., D], and what is kept of it.
torch::Tensor norm_linear_rows(const torch::Tensor& tokens, const NormParameters& norm,
                               const RowOrder& order, const Affine& linear, NormKept& kept) {
  const auto& weight = linear.weight;
  const auto dtype = weight.scalar_type();
  const auto rows = tokens.flatten(0, -2);
  // Rows change places over a whole map: in one piece, not chunk by chunk.
  if (order.to_windows.defined()) {
    kept = room_for_norm(rows, norm, dtype);
    const auto windows = order.in_windows(normed_rows(rows, norm, dtype, &kept), tokens.size(0));
    return torch::linear(windows.view({tokens.size(0), -1, rows.size(1)}), weight, linear.bias);
  }
  const auto output = weight.new_empty({rows.size(0), weight.size(0)});
  kept = room_for_norm(rows, norm, dtype);
  for (const Chunk& chunk : chunks_of(rows)) {
    const auto part = kept.of(chunk);
    linear_out_(chunk.of(output), normed_rows(chunk.of(rows), norm, dtype, &part), linear);
  }
  return output.view(with_width(tokens, weight.size(0)));
}

struct NormLinear : torch::autograd::Function<NormLinear> {
  /// `weights`: the norm's scale and shift, the linear layer's weight.
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& tokens, double eps,
                               const RowOrder& order, const std::optional<torch::Tensor>& bias,
                               at::TensorList weights) {
    const AutocastScope as_given(tokens.device().type(), std::nullopt);
    NormKept kept;
    const auto output =
        norm_linear_rows(tokens, {weights[0], weights[1], eps}, order, {weights[2], bias}, kept);
    context->save_for_backward({kept.rows, kept.mean, kept.rstd, weights[0], weights[1], weights[2],
                                order.to_windows, order.to_map});
    context->saved_data["normalized"] = kept.normalized;
    context->saved_data["bias"] = bias.has_value();
    context->saved_data["eps"] = eps;
    return output;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    refuse_second_derivatives();
    const auto saved = context->get_saved_variables();
    auto& data = context->saved_data;
    const NormKept kept{saved[0], saved[1], saved[2], data["normalized"].toBool()};
    const NormParameters norm{saved[3], saved[4], data["eps"].toDouble()};
    const RowOrder order{saved[6], saved[7]};
    NormLinearBackward sums(norm, saved[5], order);
    torch::Tensor result;
    if (context->needs_input_grad(0)) {
      // In float32, as the norm's parameters: the stream's gradient is not rounded.
      result = torch::empty(kept.rows.sizes(), norm.scale.options());
    }
    auto shape = with_width(gradients[0], kept.rows.size(1));
    if (order.to_windows.defined()) {
      sums.add(gradients[0], kept, {}, result);
      shape[1] = -1;  // without padding
    } else {
      const auto rows = gradients[0].flatten(0, -2);
      for (const Chunk& chunk : chunks_of(rows)) {
        sums.add(chunk.of(rows), kept.of(chunk), {}, chunk.of(result));
      }
    }
    if (result.defined()) result = result.view(shape);
    return {result,       {},
            {},           data["bias"].toBool() ? sums.bias() : torch::Tensor(),
            sums.scale(), sums.shift(),
            sums.weight()};
  }
};

struct GeluLinear : torch::autograd::Function<GeluLinear> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& hidden,
                               const torch::Tensor& weight,
                               const std::optional<torch::Tensor>& bias) {
    const AutocastScope as_given(hidden.device().type(), std::nullopt);
    context->save_for_backward({hidden, weight});
    context->saved_data["bias"] = bias.has_value();
    return torch::linear(torch::gelu(hidden), weight, bias);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    refuse_second_derivatives();
    const auto saved = context->get_saved_variables();
    const auto linear = linear_backward(gradients[0], torch::gelu(saved[0]), saved[1],
                                        context->saved_data["bias"].toBool());
    // GELU is computed again: only the rows before it are kept.
    return {at::gelu_backward(linear.input, saved[0]), linear.weight, linear.bias};
  }
};

/// Without gradients.
torch::Tensor plain_norm_linear(torch::nn::LayerNorm& norm, torch::nn::Linear& linear,
                                const torch::Tensor& tokens, const WindowPlan* windows) {
  const auto affine = in_force(linear->weight, linear->bias);
  const AutocastScope as_given(tokens.device().type(), std::nullopt);
  const auto normed =
      normed_rows(tokens.flatten(0, -2), {norm->weight, norm->bias, norm->options.eps()},
                  affine.weight.scalar_type(), nullptr)
          .view(tokens.sizes());
  return torch::linear(windows ? to_windows(normed, *windows) : normed, affine.weight, affine.bias);
}

}  // namespace

torch::Tensor norm_linear(torch::nn::LayerNorm& norm, torch::nn::Linear& linear,
                          const torch::Tensor& tokens, const WindowPlan* windows) {
  if (!torch::GradMode::is_enabled()) return plain_norm_linear(norm, linear, tokens, windows);
  const RowOrder order = windows ? RowOrder{windows->to_windows, windows->to_map} : RowOrder{};
  const auto affine = in_force(linear->weight, linear->bias);
  const std::vector<torch::Tensor> weights{norm->weight, norm->bias, affine.weight};
  return NormLinear::apply(tokens, norm->options.eps(), order, affine.bias,
                           at::TensorList(weights));
}

torch::Tensor gelu_linear(torch::nn::Linear& linear, const torch::Tensor& hidden) {
  if (!torch::GradMode::is_enabled())
    return torch::linear(torch::gelu(hidden), linear->weight, linear->bias);
  const auto affine = in_force(linear->weight, linear->bias);
  return GeluLinear::apply(hidden.to(affine.weight.scalar_type()), affine.weight, affine.bias);
}

}  // namespace ibot::nn
