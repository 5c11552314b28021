// Linear layers that keep less for the backward pass.
#pragma once

#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include "ibot/nn/windows.h"

namespace ibot::nn {

/// linear(norm(tokens)) that keeps `tokens` and the statistics, and computes the normalized tokens
/// again in the backward pass: one width less than the two modules in turn. Under autocast it keeps
/// the normalized tokens before their affine map, in half precision, which is half of the residual
/// stream's float32. With `windows` the normalized tokens are cut into them first, which are not
/// kept either.
///
///   tokens   [..., D]     [B, L, D] with windows
///   returns  [..., out]   [B, W·T, out] with windows; under autocast in its precision
///
/// Values are those of the modules; gradients too, in half precision but for a rounding of what is
/// kept. Throws Error on gradients of gradients.
torch::Tensor norm_linear(torch::nn::LayerNorm& norm, torch::nn::Linear& linear,
                          const torch::Tensor& tokens, const WindowPlan* windows = nullptr);

/// linear(gelu(hidden)), the erf form, that keeps `hidden` alone: one hidden width less.
///
///   hidden   [..., in]
///   returns  [..., out]   under autocast in its precision
///
/// Values and gradients as of the functions in turn. Throws Error on gradients of gradients.
torch::Tensor gelu_linear(torch::nn::Linear& linear, const torch::Tensor& hidden);

}  // namespace ibot::nn
