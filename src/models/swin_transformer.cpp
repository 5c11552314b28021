#include "ibot/models/swin_transformer.h"

#include "ibot/nn/drop_path.h"
#include "ibot/nn/dropout.h"

namespace ibot::models {
namespace {

/// Swin has no class token: the mean of the tokens stands for it (after the norm, if any).
BackboneOutput with_mean(const torch::Tensor& tokens) { return {tokens.mean(1), tokens}; }

/// Expands each cell of a square grid to the patches that it covers: [B, G·G] → [B, side·side].
torch::Tensor spread_cells(const torch::Tensor& mask, int64_t side) {
  const auto cells = nn::map_side(mask.size(1));
  IBOT_CHECK(cells > 0 && side % cells == 0,
             "swin: expected a mask whose cells are whole numbers of ", side, " x ", side,
             " patches, got ", cells, " x ", cells, " cells");
  const auto factor = side / cells;
  return mask.view({-1, cells, 1, cells, 1})
      .expand({-1, cells, factor, cells, factor})
      .reshape({-1, side * side});
}

}  // namespace

SwinTransformer::SwinTransformer(const BackboneOptions& options, const SwinShape& shape, Role role)
    : shape_(shape), patch_size_(options.patch_size) {
  const auto width = shape.front().width;
  const bool student = role == Role::kStudent;
  // Only the student sees masked images.
  if (student && options.masked_modeling) {
    masked_embed_ = register_parameter("masked_embed", torch::zeros({1, width}));
  }
  patch_embed_ = register_module("patch_embed", nn::PatchEmbed(patch_size_, width, /*norm=*/true));
  const auto layers = register_module("layers", std::make_shared<torch::nn::Module>());
  // One schedule over the blocks of all stages.
  const auto drop_path = nn::drop_path_rates(student ? options.drop_path : 0.0, count_blocks());
  const double* next = drop_path.data();
  for (size_t stage = 0; stage < shape_.size(); ++stage) {
    add_stage(*layers, stage, options, next);
    next += shape_[stage].depth;
  }
  norm_ = register_module("norm", nn::layer_norm(shape_.back().width));
}

void SwinTransformer::add_stage(torch::nn::Module& layers, size_t stage,
                                const BackboneOptions& options, const double* drop_path) {
  const auto& shape = shape_[stage];
  auto& added = *stages_.emplace_back(
      layers.register_module(std::to_string(stage), std::make_shared<SwinStageImpl>()));
  const auto blocks = added.register_module("blocks", std::make_shared<torch::nn::Module>());
  for (int64_t i = 0; i < shape.depth; ++i) {
    added.blocks.push_back(blocks->register_module(
        std::to_string(i),
        nn::SwinBlock(nn::SwinBlockOptions{
            .embed_dim = shape.width,
            .heads = shape.heads,
            // Every second block is shifted.
            .windows = {.size = shape.window, .shift = i % 2 == 0 ? 0 : shape.shift},
            .mlp_ratio = options.mlp_ratio,
            .qkv_bias = options.qkv_bias,
            .drop_path = drop_path[i]})));
  }
  if (stage + 1 < shape_.size()) {
    added.downsample = added.register_module("downsample", nn::PatchMerging(shape.width));
  }
}

int64_t SwinTransformer::count_blocks() const {
  int64_t count = 0;
  for (const auto& stage : shape_) count += stage.depth;
  return count;
}

mask::PatchGrid SwinTransformer::grid(int64_t height, int64_t width) const {
  mask::PatchGrid grid{height / patch_size_, width / patch_size_};
  for (size_t i = 1; i < shape_.size(); ++i) {
    // Patch merging pads odd sides.
    grid = {(grid.rows + 1) / 2, (grid.columns + 1) / 2};
  }
  return grid;
}

void SwinTransformer::set_context(nn::BlockContext context) { context_ = std::move(context); }

torch::Tensor SwinTransformer::embed(const torch::Tensor& images, const torch::Tensor& mask) {
  IBOT_CHECK(images.size(2) == images.size(3), "swin: expected square images, got ", images.size(2),
             " x ", images.size(3), " pixels");
  auto tokens = patch_embed_->forward(images);  // [B, L, D]
  if (!mask.defined()) return nn::drop_tokens(tokens, context_, is_training());
  IBOT_CHECK(masked_embed_.defined(), "backbone: got a mask but has no mask token");
  IBOT_CHECK(mask.dim() == 2 && mask.size(0) == tokens.size(0), "swin: expected a mask of ",
             tokens.size(0), " images, got shape ", mask.sizes());
  // A cell of the mask is one token of the last stage: [B, L].
  const auto patches = spread_cells(mask, nn::map_side(tokens.size(1)));
  // The cast keeps the tokens' half precision under autocast; where() would promote to float32.
  tokens = torch::where(patches.unsqueeze(-1), masked_embed_.to(tokens.dtype()), tokens);
  return nn::drop_tokens(tokens, context_, is_training());
}

torch::Tensor SwinTransformer::run_stages(torch::Tensor tokens, const Observe& observe) {
  int64_t number = 0;
  for (auto& stage : stages_) {
    for (auto& block : stage->blocks) {
      const auto after = block->forward(tokens, context_);
      if (observe) observe(number++, block, tokens, after);
      tokens = after;
    }
    if (stage->downsample) tokens = stage->downsample->forward(tokens);
  }
  return tokens;
}

BackboneOutput SwinTransformer::forward(const torch::Tensor& images, const torch::Tensor& mask) {
  return with_mean(norm_->forward(run_stages(embed(images, mask))));
}

std::vector<BackboneOutput> SwinTransformer::intermediate(const torch::Tensor& images,
                                                          int64_t count) {
  const auto blocks = count_blocks();
  IBOT_CHECK(count > 0 && count <= blocks, "backbone: expected 1 to ", blocks, " last blocks, got ",
             count);
  const auto normalized = blocks - shape_.back().depth;  // from this block on
  std::vector<BackboneOutput> outputs;
  run_stages(embed(images, {}),
             [&](int64_t number, nn::SwinBlock&, const torch::Tensor&, const torch::Tensor& after) {
               if (number < blocks - count) return;
               outputs.push_back(with_mean(number < normalized ? after : norm_->forward(after)));
             });
  return outputs;
}

torch::Tensor SwinTransformer::last_attention(const torch::Tensor& images) {
  const auto last = count_blocks() - 1;
  torch::Tensor attention;
  run_stages(embed(images, {}), [&](int64_t number, nn::SwinBlock& block,
                                    const torch::Tensor& before, const torch::Tensor&) {
    if (number == last) attention = block->attention(before);
  });
  return attention;
}

std::vector<torch::Tensor> SwinTransformer::attentions(const torch::Tensor& images) {
  std::vector<torch::Tensor> all;
  run_stages(embed(images, {}),
             [&](int64_t, nn::SwinBlock& block, const torch::Tensor& before, const torch::Tensor&) {
               all.push_back(block->attention(before));
             });
  return all;
}

}  // namespace ibot::models
