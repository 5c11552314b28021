#include "ibot/nn/dropout.h"

#include "ibot/nn/drop_path.h"

namespace ibot::nn {

torch::Tensor DropoutMask::of(const torch::Tensor& values) const {
  return kept.defined() ? values * kept * (1.0 / share) : values;
}

DropoutMask draw_dropout(at::IntArrayRef sizes, double rate, const BlockContext& context,
                         torch::Device device) {
  if (rate == 0.0) return {};
  // One byte a value is all that waits for the backward pass.
  auto kept = torch::empty(sizes, torch::TensorOptions(torch::kBool).device(device));
  return {kept.bernoulli_(1.0 - rate, context.generator), 1.0 - rate};
}

torch::Tensor drop_tokens(const torch::Tensor& tokens, const BlockContext& context, bool training) {
  if (!training) return tokens;
  return draw_dropout(tokens.sizes(), context.dropout, context, tokens.device()).of(tokens);
}

BlockDraws draw_block(const BlockSizes& sizes, double drop_path, const BlockContext& context,
                      torch::Device device) {
  const auto scale = [&] { return drop_path_scale(sizes.samples, drop_path, context, device); };
  const auto draw = [&](at::IntArrayRef shape) {
    return draw_dropout(shape, context.dropout, context, device);
  };
  auto hidden = sizes.tokens;
  hidden.back() = sizes.hidden_dim;
  // Elements of a braced list are evaluated in order.
  return {.attention = scale(),
          .mlp = scale(),
          .dropout = {
              .weights = draw_dropout(sizes.weights, context.attention_dropout, context, device),
              .attended = draw(sizes.tokens),
              .hidden = draw(hidden),
              .output = draw(sizes.tokens)}};
}

}  // namespace ibot::nn
