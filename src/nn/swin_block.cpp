#include "ibot/nn/swin_block.h"

#include <cmath>

#include "ibot/base/error.h"
#include "nn/recompute.h"

namespace ibot::nn {
namespace {

MapSize size_of(const torch::Tensor& tokens, const std::optional<MapSize>& map) {
  if (!map) return map_side(tokens.size(1));
  IBOT_CHECK(map->tokens() == tokens.size(1), "swin: expected a map of ", map->rows, " x ",
             map->columns, " tokens, got ", tokens.size(1));
  return *map;
}

}  // namespace

int64_t map_side(int64_t tokens) {
  const auto side = std::llround(std::sqrt(static_cast<double>(tokens)));
  IBOT_CHECK(side * side == tokens, "swin: expected a square map of tokens, got ", tokens);
  return side;
}

SwinBlockImpl::SwinBlockImpl(const SwinBlockOptions& options)
    : options_(options), plans_(options.windows) {
  const auto width = options.embed_dim;
  norm1_ = register_module("norm1", layer_norm(width));
  attn_ = register_module(
      "attn", WindowAttention(width, options.heads, options.windows.size, options.qkv_bias));
  norm2_ = register_module("norm2", layer_norm(width));
  mlp_ = register_module("mlp", Mlp(width, options.hidden_dim()));
}

BlockDraws SwinBlockImpl::draw(const torch::Tensor& tokens, const BlockContext& context,
                               const WindowPlan& plan) {
  if (!is_training()) return {};
  const auto window = options_.windows.size * options_.windows.size;
  // Windows of the padded map.
  const auto windows = plan.to_windows.size(0) / window;
  const BlockSizes sizes{.samples = tokens.size(0),
                         .weights = {tokens.size(0) * windows, options_.heads, window, window},
                         .tokens = tokens.sizes().vec(),
                         .hidden_dim = options_.hidden_dim()};
  return draw_block(sizes, options_.drop_path, context, tokens.device());
}

torch::Tensor SwinBlockImpl::run(const torch::Tensor& tokens, const BlockDraws& draws,
                                 const WindowPlan& plan) {
  const auto& dropout = draws.dropout;
  // Back to the map's order, without the padding: [B, L, D].
  const auto attended = to_map(attn_->attend(norm1_, tokens, plan, dropout.weights), plan);
  const auto x = attn_->add_to(tokens, attended, {draws.attention, {}}, dropout.attended);
  return mlp_->add_to(x, norm2_, {draws.mlp, {}}, dropout);
}

torch::Tensor SwinBlockImpl::forward(const torch::Tensor& tokens, const BlockContext& context,
                                     const std::optional<MapSize>& map) {
  // A copy of handles: the list of plans grows while a recomputed block still waits for its turn.
  const auto plan = plans_.of(size_of(tokens, map), tokens.device());
  const auto draws = draw(tokens, context, plan);
  const auto work = [this, draws, plan](const torch::Tensor& input) {
    return run(input, draws, plan);
  };
  return context.recompute ? recomputed(work, tokens, parameters()) : work(tokens);
}

torch::Tensor SwinBlockImpl::attention(const torch::Tensor& tokens) {
  return attn_->weights(norm1_, tokens, plans_.of(map_side(tokens.size(1)), tokens.device()));
}

PatchMergingImpl::PatchMergingImpl(int64_t embed_dim) {
  reduction_ = register_module(
      "reduction",
      torch::nn::Linear(torch::nn::LinearOptions(4 * embed_dim, 2 * embed_dim).bias(false)));
  norm_ = register_module("norm", layer_norm(4 * embed_dim));
}

torch::Tensor PatchMergingImpl::forward(const torch::Tensor& tokens,
                                        const std::optional<MapSize>& map) {
  const auto size = size_of(tokens, map);
  const auto width = tokens.size(2);
  auto grid = tokens.unflatten(1, {size.rows, size.columns});
  if (size.rows % 2 == 1 || size.columns % 2 == 1) {
    // One row below and one column to the right, of zeros.
    grid = torch::constant_pad_nd(grid, {0, 0, 0, size.columns % 2, 0, size.rows % 2});
  }
  const auto rows = grid.size(1) / 2, columns = grid.size(2) / 2;
  // Joined in the order (row, column) = (0, 0), (1, 0), (0, 1), (1, 1), as in the reference: its
  // weights depend on it. [B, rows · columns, 4 D].
  const auto joined = grid.reshape({-1, rows, 2, columns, 2, width})
                          .permute({0, 1, 3, 4, 2, 5})
                          .reshape({-1, rows * columns, 4 * width});
  return reduction_->forward(norm_->forward(joined));
}

}  // namespace ibot::nn
