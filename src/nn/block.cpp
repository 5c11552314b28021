#include "ibot/nn/block.h"

#include "ibot/nn/drop_path.h"

namespace ibot::nn {

MlpImpl::MlpImpl(int64_t embed_dim, int64_t hidden_dim) {
  fc1_ = register_module("fc1", torch::nn::Linear(embed_dim, hidden_dim));
  fc2_ = register_module("fc2", torch::nn::Linear(hidden_dim, embed_dim));
}

torch::Tensor MlpImpl::forward(const torch::Tensor& tokens) {
  return fc2_->forward(torch::gelu(fc1_->forward(tokens)));
}

BlockImpl::BlockImpl(const BlockOptions& options) : drop_path_(options.drop_path) {
  const auto width = options.embed_dim;
  if (options.layer_scale > 0) {
    gamma_1_ = register_parameter("gamma_1", torch::full({width}, options.layer_scale));
    gamma_2_ = register_parameter("gamma_2", torch::full({width}, options.layer_scale));
  }
  norm1_ = register_module("norm1", layer_norm(width));
  attn_ = register_module("attn", Attention(width, options.heads, options.qkv_bias));
  norm2_ = register_module("norm2", layer_norm(width));
  mlp_ = register_module(
      "mlp", Mlp(width, static_cast<int64_t>(static_cast<double>(width) * options.mlp_ratio)));
}

/// `scale` is that of drop_path, of a shape that spreads over the branch; undefined: nothing drops.
torch::Tensor BlockImpl::residual(const torch::Tensor& tokens, const torch::Tensor& branch,
                                  const torch::Tensor& gamma, const torch::Tensor& scale) {
  const auto scaled = gamma.defined() ? gamma * branch : branch;
  return tokens + (scale.defined() ? scaled * scale : scaled);
}

torch::Tensor BlockImpl::forward(const torch::Tensor& tokens,
                                 const std::optional<at::Generator>& generator) {
  const auto scale = [&](const torch::Tensor& branch) {
    if (!drops()) return torch::Tensor();
    return drop_path_scale(branch.size(0), drop_path_, generator, branch.options())
        .view({-1, 1, 1});
  };
  const auto attended = attn_->forward(norm1_->forward(tokens));
  const auto x = residual(tokens, attended, gamma_1_, scale(attended));
  const auto transformed = mlp_->forward(norm2_->forward(x));
  return residual(x, transformed, gamma_2_, scale(transformed));
}

torch::Tensor BlockImpl::forward_rows(const torch::Tensor& tokens, const torch::Tensor& rows,
                                      const std::optional<at::Generator>& generator) {
  const auto sample = rows.floor_divide(tokens.size(1));
  const auto scale = [&](const torch::Tensor& branch) {
    if (!drops()) return torch::Tensor();
    return drop_path_scale(tokens.size(0), drop_path_, generator, branch.options())
        .index_select(0, sample)
        .unsqueeze(1);
  };
  const auto attended = attn_->forward_rows(norm1_->forward(tokens), rows);
  const auto x =
      residual(tokens.flatten(0, 1).index_select(0, rows), attended, gamma_1_, scale(attended));
  const auto transformed = mlp_->forward(norm2_->forward(x));
  return residual(x, transformed, gamma_2_, scale(transformed));
}

torch::Tensor BlockImpl::attention(const torch::Tensor& tokens) {
  return attn_->weights(norm1_->forward(tokens));
}

}  // namespace ibot::nn
