#include "nn/half_attention.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "ibot/kernels/softmax.h"
#include "ibot/nn/autocast_scope.h"
#include "nn/lean.h"

namespace ibot::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// What stays in a core's cache.
constexpr int64_t kScoresAtOnce = int64_t{1} << 18;

/// Images that pass together.
std::vector<Chunk> images_at_once(const torch::Tensor& query) {
  const auto images = query.size(0);
  const auto scores = query.size(1) * query.size(2) * query.size(2);
  const auto step = std::max<int64_t>(1, kScoresAtOnce / std::max<int64_t>(1, scores));
  std::vector<Chunk> chunks;
  for (int64_t first = 0; first < images; first += step) {
    chunks.push_back({first, std::min(step, images - first)});
  }
  return chunks;
}

/// Some images' matrices, one after the other: [B, heads, T, d] to [b·heads, T, d].
torch::Tensor matrices(const torch::Tensor& tensor, const Chunk& chunk) {
  return chunk.of(tensor).flatten(0, 1);
}

double score_scale(const torch::Tensor& query) {
  return 1.0 / std::sqrt(static_cast<double>(query.size(-1)));
}

torch::Tensor weights_of(const torch::Tensor& query, const torch::Tensor& key) {
  return kernels::scaled_softmax(query.bmm(key.transpose(1, 2)), score_scale(query));
}

/// Room for the result of all images, in the order in which heads are joined to tokens.
torch::Tensor room_like(const torch::Tensor& query) {
  const auto heads = query.size(1), tokens = query.size(2), width = query.size(3);
  return torch::empty_strided(
      query.sizes(), {tokens * heads * width, width, heads * width, int64_t{1}}, query.options());
}

void put(torch::Tensor all, const Chunk& chunk, const torch::Tensor& part) {
  const auto target = chunk.of(all);
  target.copy_(part.view(target.sizes()));
}

torch::Tensor attended(const torch::Tensor& query, const torch::Tensor& key,
                       const torch::Tensor& value) {
  auto result = room_like(query);
  for (const Chunk& chunk : images_at_once(query)) {
    const auto weights = weights_of(matrices(query, chunk), matrices(key, chunk));
    put(result, chunk, weights.bmm(matrices(value, chunk)));
  }
  return result;
}

struct ProductAttend : torch::autograd::Function<ProductAttend> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& query,
                               const torch::Tensor& key, const torch::Tensor& value) {
    const AutocastScope as_given(query.device().type(), std::nullopt);
    context->save_for_backward({query, key, value});
    return attended(query, key, value);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    refuse_second_derivatives();
    const auto saved = context->get_saved_variables();
    variable_list results{room_like(saved[0]), room_like(saved[0]), room_like(saved[0])};
    for (const Chunk& chunk : images_at_once(saved[0])) {
      const auto query = matrices(saved[0], chunk), key = matrices(saved[1], chunk);
      const auto gradient = matrices(gradients[0], chunk);
      const auto weights = weights_of(query, key);
      const auto of_weights = gradient.bmm(matrices(saved[2], chunk).transpose(1, 2));
      const auto of_scores =
          kernels::scaled_softmax_backward(of_weights, weights, score_scale(query));
      put(results[0], chunk, of_scores.bmm(key));
      put(results[1], chunk, of_scores.transpose(1, 2).bmm(query));
      put(results[2], chunk, weights.transpose(1, 2).bmm(gradient));
    }
    return results;
  }
};

}  // namespace

torch::Tensor attend_by_products(const torch::Tensor& query, const torch::Tensor& key,
                                 const torch::Tensor& value) {
  if (torch::GradMode::is_enabled()) return ProductAttend::apply(query, key, value);
  const AutocastScope as_given(query.device().type(), std::nullopt);
  return attended(query, key, value);
}

}  // namespace ibot::nn
