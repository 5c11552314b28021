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

/// What stays in a core's cache: scores of several images, and of one.
constexpr int64_t kScoresAtOnce = int64_t{1} << 18;
constexpr int64_t kScoresOfImage = int64_t{1} << 19;

/// Heads of images that pass together.
struct HeadGroup {
  Chunk images;
  Chunk heads;

  torch::Tensor of(const torch::Tensor& tensor) const {
    return images.of(tensor).narrow(1, heads.first, heads.count);
  }
};

std::vector<Chunk> every(int64_t count, int64_t step) {
  std::vector<Chunk> chunks;
  for (int64_t first = 0; first < count; first += step) {
    chunks.push_back({first, std::min(step, count - first)});
  }
  return chunks;
}

/// How many of things with `scores` each fit into `room`, one at least.
int64_t fitting(int64_t room, int64_t scores) {
  return std::max<int64_t>(1, room / std::max<int64_t>(1, scores));
}

/// Several images, or, where one has too many scores, some of its heads.
std::vector<HeadGroup> groups_of(const torch::Tensor& query) {
  const auto heads = query.size(1);
  const auto of_head = query.size(2) * query.size(2);
  const auto at_once = std::min(heads, fitting(kScoresOfImage, of_head));
  const auto images = at_once < heads ? 1 : fitting(kScoresAtOnce, heads * of_head);
  std::vector<HeadGroup> groups;
  for (const Chunk& chunk : every(query.size(0), images)) {
    for (const Chunk& of_image : every(heads, at_once)) groups.push_back({chunk, of_image});
  }
  return groups;
}

/// Queries that pass together: all but where a head alone has too many scores.
std::vector<Chunk> queries_at_once(const torch::Tensor& query) {
  const auto tokens = query.size(2);
  return every(tokens, std::min(tokens, fitting(kScoresOfImage, tokens)));
}

/// A group's matrices, one after the other: [b, heads, T, d] to [b·heads, T, d].
torch::Tensor matrices(const torch::Tensor& tensor, const HeadGroup& group) {
  return group.of(tensor).flatten(0, 1);
}

double score_scale(const torch::Tensor& query) {
  return 1.0 / std::sqrt(static_cast<double>(query.size(-1)));
}

torch::Tensor weights_of(const torch::Tensor& query, const torch::Tensor& key) {
  // [b·heads, rows, T]
  return kernels::scaled_softmax(query.bmm(key.transpose(1, 2)), score_scale(query));
}

/// Room for the result of all images, in the order in which heads are joined to tokens.
torch::Tensor room_like(const torch::Tensor& query) {
  const auto heads = query.size(1), tokens = query.size(2), width = query.size(3);
  return torch::empty_strided(
      query.sizes(), {tokens * heads * width, width, heads * width, int64_t{1}}, query.options());
}

void put(const torch::Tensor& room, const torch::Tensor& part) {
  room.copy_(part.view(room.sizes()));
}

torch::Tensor attended(const torch::Tensor& query, const torch::Tensor& key,
                       const torch::Tensor& value) {
  auto result = room_like(query);
  for (const HeadGroup& group : groups_of(query)) {
    const auto queries = matrices(query, group), keys = matrices(key, group);
    const auto values = matrices(value, group);
    for (const Chunk& rows : queries_at_once(query)) {
      const auto weights = weights_of(queries.narrow(1, rows.first, rows.count), keys);
      put(group.of(result).narrow(2, rows.first, rows.count), weights.bmm(values));
    }
  }
  return result;
}

/// Inputs and gradient of some heads.
struct HeadMatrices {
  torch::Tensor query, key, value, gradient;
};

struct HeadGradients {
  torch::Tensor query, key, value;
};

/// The gradients of some queries, and what these add to those of keys and values.
HeadGradients gradients_of(const HeadMatrices& of, const Chunk& rows) {
  const auto query = of.query.narrow(1, rows.first, rows.count);
  const auto gradient = of.gradient.narrow(1, rows.first, rows.count);
  // Computed again, then the formulas of attention's backward pass.
  const auto weights = weights_of(query, of.key);
  const auto of_weights = gradient.bmm(of.value.transpose(1, 2));
  const auto of_scores = kernels::scaled_softmax_backward(of_weights, weights, score_scale(query));
  return {of_scores.bmm(of.key), of_scores.transpose(1, 2).bmm(query),
          weights.transpose(1, 2).bmm(gradient)};
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
    const auto queries = queries_at_once(saved[0]);
    for (const HeadGroup& group : groups_of(saved[0])) {
      const HeadMatrices of{matrices(saved[0], group), matrices(saved[1], group),
                            matrices(saved[2], group), matrices(gradients[0], group)};
      torch::Tensor of_key, of_value;
      for (const Chunk& rows : queries) {
        const auto part = gradients_of(of, rows);
        put(group.of(results[0]).narrow(2, rows.first, rows.count), part.query);
        // Sums of several parts are taken in float32.
        const auto type = queries.size() > 1 ? torch::kFloat : part.key.scalar_type();
        accumulate_(of_key, part.key.to(type));
        accumulate_(of_value, part.value.to(type));
      }
      put(group.of(results[1]), of_key);
      put(group.of(results[2]), of_value);
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
