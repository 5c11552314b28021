#include "ibot/nn/block.h"

#include "ibot/nn/drop_path.h"
#include "ibot/nn/lean_linear.h"
#include "ibot/nn/recompute.h"

namespace ibot::nn {

MlpImpl::MlpImpl(int64_t embed_dim, int64_t hidden_dim) {
  fc1_ = register_module("fc1", torch::nn::Linear(embed_dim, hidden_dim));
  fc2_ = register_module("fc2", torch::nn::Linear(hidden_dim, embed_dim));
}

torch::Tensor MlpImpl::forward(torch::nn::LayerNorm& norm, const torch::Tensor& tokens) {
  return gelu_linear(fc2_, norm_linear(norm, fc1_, tokens));
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

BlockImpl::Scales BlockImpl::draw_scales(const torch::Tensor& tokens,
                                         const BlockContext& context) const {
  if (!is_training()) return {};
  const auto draw = [&] {
    return drop_path_scale(tokens.size(0), drop_path_, context, tokens.device());
  };
  auto attention = draw();
  return {std::move(attention), draw()};
}

torch::Tensor BlockImpl::finish(const torch::Tensor& tokens, const torch::Tensor& attended,
                                const Scales& scales) {
  const auto scaled = [](const torch::Tensor& gamma, const torch::Tensor& branch) {
    return gamma.defined() ? gamma * branch : branch;
  };
  const auto x = add_branch(tokens, scaled(gamma_1_, attended), scales.attention);
  const auto transformed = mlp_->forward(norm2_, x);
  return add_branch(x, scaled(gamma_2_, transformed), scales.mlp);
}

torch::Tensor BlockImpl::run(const torch::Tensor& tokens, const Scales& scales) {
  return finish(tokens, attn_->forward(norm1_, tokens), scales);
}

torch::Tensor BlockImpl::run_rows(const torch::Tensor& tokens, const torch::Tensor& rows,
                                  const Scales& scales) {
  const auto sample = rows.floor_divide(tokens.size(1));
  const auto of_rows = [&sample](const torch::Tensor& scale) {
    return scale.defined() ? scale.flatten().index_select(0, sample).unsqueeze(1) : scale;
  };
  const auto attended = attn_->forward_rows(norm1_, tokens, rows);
  return finish(tokens.flatten(0, 1).index_select(0, rows), attended,
                {of_rows(scales.attention), of_rows(scales.mlp)});
}

torch::Tensor BlockImpl::forward(const torch::Tensor& tokens, const BlockContext& context) {
  const auto scales = draw_scales(tokens, context);
  if (!context.recompute) return run(tokens, scales);
  return recomputed([this, scales](const torch::Tensor& input) { return run(input, scales); },
                    tokens, parameters());
}

torch::Tensor BlockImpl::forward_rows(const torch::Tensor& tokens, const torch::Tensor& rows,
                                      const BlockContext& context) {
  const auto scales = draw_scales(tokens, context);
  if (!context.recompute) return run_rows(tokens, rows, scales);
  return recomputed(
      [this, rows, scales](const torch::Tensor& input) { return run_rows(input, rows, scales); },
      tokens, parameters());
}

torch::Tensor BlockImpl::attention(const torch::Tensor& tokens) {
  return attn_->weights(norm1_, tokens);
}

}  // namespace ibot::nn
