#include "ibot/nn/lean_linear.h"

#include <ATen/autocast_mode.h>
#include <ATen/ops/gelu_backward.h>
#include <ATen/ops/native_layer_norm.h>
#include <ATen/ops/native_layer_norm_backward.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ibot/nn/autocast_scope.h"

namespace ibot::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// A linear layer's parameters in the precision in force, cast outside of the node: autocast keeps
/// one cast copy a step, and its gradients add up there.
struct Affine {
  explicit Affine(torch::nn::LinearImpl& linear, torch::DeviceType device)
      : dtype(autocast_in_force(device)), weight(cast(linear.weight)) {
    if (linear.bias.defined()) bias = cast(linear.bias);
  }

  torch::Tensor cast(const torch::Tensor& tensor) const {
    if (!dtype) return tensor;
    return at::autocast::cached_cast(*dtype, tensor, tensor.device().type());
  }

  std::optional<torch::ScalarType> dtype;
  torch::Tensor weight;
  std::optional<torch::Tensor> bias;
};

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

struct NormLinear : torch::autograd::Function<NormLinear> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& tokens,
                               const torch::Tensor& scale, const torch::Tensor& shift, double eps,
                               const torch::Tensor& weight,
                               const std::optional<torch::Tensor>& bias) {
    const AutocastScope as_given(tokens.device().type(), std::nullopt);
    const auto [normed, mean, rstd] =
        at::native_layer_norm(tokens, {tokens.size(-1)}, scale, shift, eps);
    const bool half = weight.scalar_type() != tokens.scalar_type();
    const auto kept = half ? ((tokens - mean) * rstd).to(weight.scalar_type()) : tokens;
    context->save_for_backward({kept, scale, shift, mean, rstd, weight});
    context->saved_data["bias"] = bias.has_value();
    context->saved_data["half"] = half;
    context->saved_data["eps"] = eps;
    return torch::linear(normed.to(weight.scalar_type()), weight, bias);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &kept = saved[0], &scale = saved[1], &shift = saved[2], &weight = saved[5];
    const bool half = context->saved_data["half"].toBool();
    const auto input = half ? kept.to(torch::kFloat) : kept;
    // Of what is normalized already, mean and deviation are 0 and 1.
    const auto mean = half ? torch::zeros_like(saved[3]) : saved[3];
    const auto rstd = half ? torch::ones_like(saved[4]) : saved[4];
    const auto normed =
        half ? torch::addcmul(shift, input, scale).to(weight.scalar_type())
             : std::get<0>(at::native_layer_norm(input, {input.size(-1)}, scale, shift,
                                                 context->saved_data["eps"].toDouble()));
    const auto linear =
        linear_backward(gradients[0], normed, weight, context->saved_data["bias"].toBool());
    auto [of_tokens, of_scale, of_shift] = at::native_layer_norm_backward(
        linear.input.to(input.scalar_type()), input, {input.size(-1)}, mean, rstd, scale, shift,
        {context->needs_input_grad(0), true, true});
    if (half && of_tokens.defined()) of_tokens.mul_(saved[4]);
    return {of_tokens, of_scale, of_shift, torch::Tensor(), linear.weight, linear.bias};
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
    const auto saved = context->get_saved_variables();
    const auto linear = linear_backward(gradients[0], torch::gelu(saved[0]), saved[1],
                                        context->saved_data["bias"].toBool());
    return {at::gelu_backward(linear.input, saved[0]), linear.weight, linear.bias};
  }
};

}  // namespace

torch::Tensor norm_linear(torch::nn::LayerNorm& norm, torch::nn::Linear& linear,
                          const torch::Tensor& tokens) {
  if (!torch::GradMode::is_enabled())
    return torch::linear(norm->forward(tokens), linear->weight, linear->bias);
  const Affine affine(*linear, tokens.device().type());
  return NormLinear::apply(tokens, norm->weight, norm->bias, norm->options.eps(), affine.weight,
                           affine.bias);
}

torch::Tensor gelu_linear(torch::nn::Linear& linear, const torch::Tensor& hidden) {
  if (!torch::GradMode::is_enabled())
    return torch::linear(torch::gelu(hidden), linear->weight, linear->bias);
  const Affine affine(*linear, hidden.device().type());
  return GeluLinear::apply(affine.dtype ? hidden.to(*affine.dtype) : hidden, affine.weight,
                           affine.bias);
}

}  // namespace ibot::nn
