#include "ibot/nn/block.h"

#include "ibot/nn/dropout.h"
#include "ibot/nn/lean_linear.h"
#include "nn/recompute.h"

namespace ibot::nn {

MlpImpl::MlpImpl(int64_t embed_dim, int64_t hidden_dim) {
  fc1_ = register_module("fc1", torch::nn::Linear(embed_dim, hidden_dim));
  fc2_ = register_module("fc2", torch::nn::Linear(hidden_dim, embed_dim));
}

torch::Tensor MlpImpl::add_to(const torch::Tensor& tokens, torch::nn::LayerNorm& norm,
                              const BranchScale& scale, const BlockDropout& dropout) {
  // Without dropout one node keeps less.
  if (!dropout.hidden.kept.defined()) return add_mlp(tokens, {norm, fc1_, fc2_}, scale);
  const auto hidden = torch::gelu(norm_linear(norm, fc1_, tokens));
  const auto output = fc2_->forward(dropout.hidden.of(hidden));
  return add_branch(tokens, dropout.output.of(output), scale);
}

BlockImpl::BlockImpl(const BlockOptions& options) : options_(options) {
  const auto width = options.embed_dim;
  if (options.layer_scale > 0) {
    gamma_1_ = register_parameter("gamma_1", torch::full({width}, options.layer_scale));
    gamma_2_ = register_parameter("gamma_2", torch::full({width}, options.layer_scale));
  }
  norm1_ = register_module("norm1", layer_norm(width));
  attn_ = register_module("attn", Attention(AttentionOptions{.embed_dim = width,
                                                             .heads = options.heads,
                                                             .qkv_bias = options.qkv_bias,
                                                             .bias_side = options.bias_side}));
  norm2_ = register_module("norm2", layer_norm(width));
  mlp_ = register_module("mlp", Mlp(width, options.hidden_dim()));
}

BlockDraws BlockImpl::draw(const torch::Tensor& tokens, const BlockContext& context,
                           const torch::Tensor& rows) const {
  if (!is_training()) return {};
  const auto images = tokens.size(0);
  const auto count = tokens.size(1);
  const auto width = options_.embed_dim;
  // Attention has weights for all queries, even where few rows are read afterwards.
  const BlockSizes sizes{.samples = images,
                         .weights = {images, options_.heads, count, count},
                         .tokens = rows.defined() ? std::vector{rows.size(0), width}
                                                  : std::vector{images, count, width},
                         .hidden_dim = options_.hidden_dim()};
  return draw_block(sizes, options_.drop_path, context, tokens.device());
}

torch::Tensor BlockImpl::finish(const torch::Tensor& tokens, const torch::Tensor& attended,
                                const BlockDraws& draws) {
  const auto& dropout = draws.dropout;
  const auto x = attn_->add_to(tokens, attended, {draws.attention, gamma_1_}, dropout.attended);
  return mlp_->add_to(x, norm2_, {draws.mlp, gamma_2_}, dropout);
}

torch::Tensor BlockImpl::run(const torch::Tensor& tokens, const BlockDraws& draws) {
  return finish(tokens, attn_->attend(norm1_, tokens, draws.dropout.weights), draws);
}

torch::Tensor BlockImpl::run_rows(const torch::Tensor& tokens, const torch::Tensor& rows,
                                  const BlockDraws& draws) {
  // Rows count over all images: row r belongs to image r / T.
  const auto sample = rows.floor_divide(tokens.size(1));
  const auto of_rows = [&sample](const torch::Tensor& scale) {
    return scale.defined() ? scale.flatten().index_select(0, sample).unsqueeze(1) : scale;
  };
  const auto attended =
      attn_->attend(norm1_, tokens, draws.dropout.weights).flatten(0, 1).index_select(0, rows);
  // [M, D]: projection, MLP and residual sum of the rows alone.
  return finish(tokens.flatten(0, 1).index_select(0, rows), attended,
                {of_rows(draws.attention), of_rows(draws.mlp), draws.dropout});
}

torch::Tensor BlockImpl::forward(const torch::Tensor& tokens, const BlockContext& context) {
  // Drawn outside of what is recomputed: both passes see the same numbers.
  const auto draws = draw(tokens, context);
  if (!context.recompute) return run(tokens, draws);
  return recomputed([this, draws](const torch::Tensor& input) { return run(input, draws); }, tokens,
                    parameters());
}

torch::Tensor BlockImpl::forward_rows(const torch::Tensor& tokens, const torch::Tensor& rows,
                                      const BlockContext& context) {
  const auto draws = draw(tokens, context, rows);
  if (!context.recompute) return run_rows(tokens, rows, draws);
  return recomputed(
      [this, rows, draws](const torch::Tensor& input) { return run_rows(input, rows, draws); },
      tokens, parameters());
}

torch::Tensor BlockImpl::attention(const torch::Tensor& tokens) {
  return attn_->weights(norm1_, tokens);
}

torch::Tensor BlockImpl::first_attention(const torch::Tensor& tokens) {
  return attn_->first_weights(norm1_, tokens);
}

}  // namespace ibot::nn
