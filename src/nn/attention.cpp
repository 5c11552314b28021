#include "ibot/nn/attention.h"

#include <ATen/ops/_softmax_backward_data.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "ibot/base/error.h"
#include "ibot/nn/autocast_scope.h"
#include "ibot/nn/lean_linear.h"
#include "ibot/nn/relative_bias.h"
#include "nn/half_attention.h"
#include "nn/lean.h"

namespace ibot::nn {
namespace {

/// The bias for every window of every image, copied only where windows differ.
torch::Tensor spread(const torch::Tensor& bias, int64_t windows) {
  if (bias.size(0) == 1) return bias;
  return bias.unsqueeze(0).expand({windows / bias.size(0), -1, -1, -1, -1}).flatten(0, 1);
}

double score_scale(const torch::Tensor& query) {
  return 1.0 / std::sqrt(static_cast<double>(query.size(-1)));
}

/// [B, T, 3 D] to queries, keys and values, each [B, heads, T, d]: views of one product.
std::vector<torch::Tensor> heads_of(const torch::Tensor& projected, int64_t heads) {
  return projected.view({projected.size(0), projected.size(1), 3, heads, -1})
      .permute({2, 0, 3, 1, 4})
      .unbind(0);
}

/// The framework would stack the three gradients and then copy the stack into order.
struct SplitHeads : torch::autograd::Function<SplitHeads> {
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext*,
                                                const torch::Tensor& projected, int64_t heads) {
    return heads_of(projected, heads);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*,
                                                 torch::autograd::variable_list gradients) {
    for (auto& part : gradients) part = part.transpose(1, 2);  // [B, T, heads, d]
    return {torch::stack(gradients, 2).flatten(2), torch::Tensor()};
  }
};

/// Attention that keeps its inputs alone and computes the weights again in the backward pass.
struct BiasedAttend : torch::autograd::Function<BiasedAttend> {
  static torch::Tensor forward(torch::autograd::AutogradContext* context,
                               const torch::Tensor& query, const torch::Tensor& key,
                               const torch::Tensor& value, const torch::Tensor& bias) {
    // Autocast is off in here: the inputs have the types that the products are to have.
    const AutocastScope as_given(query.device().type(), std::nullopt);
    context->save_for_backward({query, key, value, bias});
    return attention_weights(query, key, bias).to(value.dtype()).matmul(value);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    refuse_second_derivatives();
    const auto saved = context->get_saved_variables();
    const auto &query = saved[0], &key = saved[1], &value = saved[2], &bias = saved[3];
    const auto weights = attention_weights(query, key, bias);
    // dV = Aᵀ dO; dA = dO Vᵀ; dS through the softmax; dQ = s dS K and dK = s dSᵀ Q.
    const auto of_value = weights.to(value.dtype()).transpose(-2, -1).matmul(gradients[0]);
    const auto of_weights = gradients[0].matmul(value.transpose(-2, -1)).to(weights.dtype());
    auto of_scores = at::_softmax_backward_data(of_weights, weights, -1, weights.scalar_type());
    // [B·W, heads, T, T] → [W or 1, heads, T, T]
    const auto of_bias = of_scores.unflatten(0, {-1, bias.size(0)}).sum(0);
    of_scores = of_scores.mul_(score_scale(query)).to(query.dtype());
    return {of_scores.matmul(key), of_scores.transpose(-2, -1).matmul(query), of_value, of_bias};
  }
};

}  // namespace

std::vector<torch::Tensor> split_heads(const torch::Tensor& projected, int64_t heads) {
  return SplitHeads::apply(projected, heads);
}

torch::Tensor attention_weights(const torch::Tensor& query, const torch::Tensor& key,
                                const torch::Tensor& bias) {
  // [B·W, heads, T, T]. Scaled before the product: [T, d] is smaller, and fp16 overflows later.
  const auto scores = (query * score_scale(query)).matmul(key.transpose(-2, -1));
  if (!bias.defined()) return scores.softmax(-1);
  const auto of_image = scores.unflatten(0, {-1, bias.size(0)}) + bias;  // [B, W, heads, T, T]
  return of_image.softmax(-1).flatten(0, 1);
}

torch::Tensor attend(const torch::Tensor& query, const torch::Tensor& key,
                     const torch::Tensor& value, const AttentionTerms& terms) {
  const auto& [bias, dropout] = terms;
  // Fused kernels draw from a generator of their own.
  if (dropout.kept.defined()) {
    return dropout.of(attention_weights(query, key, bias)).to(value.dtype()).matmul(value);
  }
  if (!bias.defined()) {
    const bool half = query.scalar_type() == torch::kBFloat16;
    if (half && query.is_cpu()) return attend_by_products(query, key, value);
    return torch::scaled_dot_product_attention(query, key, value);
  }
  // On a CPU no fused kernel differentiates the bias, and what serves instead takes twice as long.
  if (query.is_cpu()) return BiasedAttend::apply(query, key, value, bias);
  return torch::scaled_dot_product_attention(query, key, value,
                                             spread(bias.to(query.dtype()), query.size(0)));
}

AttentionImpl::AttentionImpl(const AttentionOptions& options) : options_(options) {
  const auto width = options.embed_dim;
  qkv_ = register_module(
      "qkv", torch::nn::Linear(torch::nn::LinearOptions(width, 3 * width).bias(options.qkv_bias)));
  proj_ = register_module("proj", torch::nn::Linear(width, width));
  if (options.bias_side == 0) return;
  const auto offsets = 2 * options.bias_side - 1;
  relative_position_bias_table_ =
      register_parameter("relative_position_bias_table",
                         torch::zeros({offsets * offsets + kClassOffsets, options.heads}));
}

torch::Tensor AttentionImpl::bias(const torch::Tensor& tokens) {
  if (!relative_position_bias_table_.defined()) return {};
  const auto patches = tokens.size(1) - 1;
  const auto side = std::llround(std::sqrt(static_cast<double>(patches)));
  IBOT_CHECK(side * side == patches,
             "attention: expected a square of patches with a bias of their offsets, got ", patches,
             " patches");
  // Kept from call to call: most have one size.
  const bool known = position_index_.defined() && position_index_.size(0) == tokens.size(1) &&
                     position_index_.device() == tokens.device();
  if (!known) position_index_ = class_position_index(side).to(tokens.device());
  const auto table = resize_bias_table(relative_position_bias_table_, 2 * side - 1, kClassOffsets);
  // As in windows: a look-up in an embedding, whose gradient is a sum of fixed order.
  return torch::embedding(table, position_index_).permute({2, 0, 1}).unsqueeze(0);
}

torch::Tensor AttentionImpl::attend(torch::nn::LayerNorm& norm, const torch::Tensor& tokens,
                                    const DropoutMask& dropout) {
  const auto parts = split_heads(norm_linear(norm, qkv_, tokens), options_.heads);
  const auto attended = nn::attend(parts[0], parts[1], parts[2], {bias(tokens), dropout});
  return attended.transpose(1, 2).flatten(2);  // [B, T, D]
}

torch::Tensor AttentionImpl::add_to(const torch::Tensor& stream, const torch::Tensor& attended,
                                    const BranchScale& scale, const DropoutMask& dropout) {
  if (!dropout.kept.defined()) return add_linear(stream, attended, proj_, scale);
  return add_branch(stream, dropout.of(proj_->forward(attended)), scale);
}

torch::Tensor AttentionImpl::weights(torch::nn::LayerNorm& norm, const torch::Tensor& tokens) {
  return weights_of(norm, tokens, tokens.size(1));
}

torch::Tensor AttentionImpl::first_weights(torch::nn::LayerNorm& norm,
                                           const torch::Tensor& tokens) {
  return weights_of(norm, tokens, 1).squeeze(2);  // [B, heads, T]
}

torch::Tensor AttentionImpl::weights_of(torch::nn::LayerNorm& norm, const torch::Tensor& tokens,
                                        int64_t count) {
  const auto parts = split_heads(norm_linear(norm, qkv_, tokens), options_.heads);
  auto added = bias(tokens);
  // Queries are rows of the scores: the first `count` of them.
  if (added.defined()) added = added.narrow(2, 0, count);
  return attention_weights(parts[0].narrow(2, 0, count), parts[1], added);
}

}  // namespace ibot::nn
