// Branches added to the residual stream that keep little for the backward pass.
#pragma once

#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

namespace ibot::nn {

/// What a branch is multiplied by before it is added; undefined: 1.
///
///   sample   [B, 1, 1]   stochastic depth; [R, 1] where the stream is [R, D]
///   channel  [D]         layer scale
struct BranchScale {
  torch::Tensor sample;
  torch::Tensor channel;
};

/// tokens + scale · branch, both [B, T, D] or [R, D], by one operation after the other.
torch::Tensor add_branch(const torch::Tensor& tokens, torch::Tensor branch,
                         const BranchScale& scale);

/// tokens + scale · linear(input), one node that keeps `input` alone.
///
///   tokens   [B, T, D] or [R, D]
///   input    the same with the linear layer's inputs
///   returns  as tokens
///
/// Values and gradients are those of the operations in turn, in half precision but for a rounding.
/// Throws Error on gradients of gradients.
torch::Tensor add_linear(const torch::Tensor& tokens, const torch::Tensor& input,
                         torch::nn::Linear& linear, const BranchScale& scale);

/// The layers of a transformer's MLP.
struct MlpLayers {
  torch::nn::LayerNorm norm;
  torch::nn::Linear fc1;
  torch::nn::Linear fc2;
};

/// tokens + scale · fc2(gelu(fc1(norm(tokens)))), one node that keeps what fc1 gives and `tokens`,
/// or under autocast the normalized tokens in its precision. Norm and GELU are computed again in
/// the backward pass; on a CPU both passes go through the rows in parts.
///
///   tokens   [B, T, D] or [R, D]
///   returns  as tokens
///
/// Values, gradients and errors as of add_linear.
torch::Tensor add_mlp(const torch::Tensor& tokens, const MlpLayers& layers,
                      const BranchScale& scale);

}  // namespace ibot::nn
