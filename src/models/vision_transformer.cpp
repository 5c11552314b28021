#include "ibot/models/vision_transformer.h"

#include "ibot/nn/drop_path.h"
#include "ibot/nn/dropout.h"
#include "ibot/nn/pos_embed.h"

namespace ibot::models {

VisionTransformer::VisionTransformer(const BackboneOptions& options, const VitShape& shape,
                                     Role role)
    : options_(options), shape_(shape) {
  const auto width = shape.embed_dim;
  // Position 0 is the class token's.
  const auto patches = grid(options.image_size, options.image_size).size();
  cls_token_ = register_parameter("cls_token", torch::zeros({1, 1, width}));
  pos_embed_ = register_parameter("pos_embed", torch::zeros({1, patches + 1, width}));
  // Only the student sees masked images.
  if (role == Role::kStudent && options.masked_modeling) {
    masked_embed_ = register_parameter("masked_embed", torch::zeros({1, width}));
  }
  if (options.registers > 0) {
    register_tokens_ =
        register_parameter("register_tokens", torch::zeros({1, options.registers, width}));
  }
  patch_embed_ = register_module("patch_embed", nn::PatchEmbed(options.patch_size, width));
  const auto blocks = register_module("blocks", std::make_shared<torch::nn::Module>());
  const auto drop_path =
      nn::drop_path_rates(role == Role::kStudent ? options.drop_path : 0.0, shape.depth);
  for (int64_t i = 0; i < shape.depth; ++i) {
    blocks_.push_back(blocks->register_module(
        std::to_string(i),
        nn::Block(nn::BlockOptions{
            .embed_dim = width,
            .heads = shape.heads,
            .mlp_ratio = options.mlp_ratio,
            .qkv_bias = options.qkv_bias,
            .drop_path = drop_path[i],
            .layer_scale = options.layer_scale,
            .bias_side = options.rel_pos_bias ? options.image_size / options.patch_size : 0})));
  }
  if (options.mean_pooling) {
    fc_norm_ = register_module("fc_norm", nn::layer_norm(width));
  } else {
    norm_ = register_module("norm", nn::layer_norm(width));
  }
}

mask::PatchGrid VisionTransformer::grid(int64_t height, int64_t width) const {
  return {height / options_.patch_size, width / options_.patch_size};
}

void VisionTransformer::set_context(nn::BlockContext context) { context_ = std::move(context); }

torch::Tensor VisionTransformer::embed(const torch::Tensor& images, const torch::Tensor& mask) {
  const auto height = images.size(2);
  const auto width = images.size(3);
  const auto patches = grid(height, width);
  auto tokens = patch_embed_->forward(images);  // [B, N, D]
  if (mask.defined()) {
    IBOT_CHECK(masked_embed_.defined(), "backbone: got a mask but has no mask token");
    IBOT_CHECK(mask.sizes() == tokens.sizes().slice(0, 2), "backbone: expected a mask of shape ",
               tokens.sizes().slice(0, 2), ", got ", mask.sizes());
    // The cast keeps the tokens' half precision under autocast; where() would promote to float32.
    tokens = torch::where(mask.unsqueeze(-1), masked_embed_.to(tokens.dtype()), tokens);
  }
  // As in the reference: at the native size positions are used unchanged, otherwise interpolated.
  // Equal counts are not enough: 112 x 448 has as many patches as 224 x 224.
  const bool native = height == width && patches.size() == pos_embed_.size(1) - 1;
  const auto positions =
      nn::interpolate_pos_embed(pos_embed_, patches.rows, patches.columns, native);
  // Masked tokens keep their positions: these are added after the mask.
  const auto first = cls_token_.expand({images.size(0), -1, -1}).to(tokens.dtype());
  tokens = nn::drop_tokens(torch::cat({first, tokens}, 1) + positions, context_, is_training());
  if (!register_tokens_.defined()) return tokens;
  const auto registers = register_tokens_.expand({images.size(0), -1, -1}).to(tokens.dtype());
  // Registers come after the class token and have no positions.
  return torch::cat({tokens.narrow(1, 0, 1), registers, tokens.slice(1, 1)},
                    1);  // [B, 1 + R + N, D]
}

torch::Tensor VisionTransformer::patches_of(const torch::Tensor& tokens) const {
  return tokens.slice(1, 1 + options_.registers);
}

torch::Tensor VisionTransformer::run_blocks(torch::Tensor tokens, size_t count) {
  for (size_t i = 0; i < count; ++i) tokens = blocks_[i]->forward(tokens, context_);
  return tokens;
}

BackboneOutput VisionTransformer::finish(const torch::Tensor& tokens) {
  if (fc_norm_) {
    const auto patch_tokens = patches_of(tokens);
    // As the reference's mean-pooling build: patch tokens stay without a norm.
    return {fc_norm_->forward(patch_tokens.mean(1)), patch_tokens};
  }
  const auto normalized = norm_->forward(tokens);
  return {normalized.select(1, 0), patches_of(normalized)};
}

BackboneOutput VisionTransformer::forward(const torch::Tensor& images, const torch::Tensor& mask) {
  return finish(run_blocks(embed(images, mask), blocks_.size()));
}

SelectedTokens VisionTransformer::forward_selected(const torch::Tensor& images,
                                                   const torch::Tensor& mask,
                                                   const torch::Tensor& selected) {
  // Mean pooling reads every patch: nothing can be skipped.
  if (fc_norm_) return Backbone::forward_selected(images, mask, selected);
  const auto tokens = run_blocks(embed(images, mask), blocks_.size() - 1);  // [B, 1 + R + N, D]
  const auto count = tokens.size(1);
  const auto first =
      torch::arange(tokens.size(0), torch::TensorOptions(torch::kLong).device(images.device())) *
      count;
  // The last block computes queries, projection and MLP only for rows that are read; keys and
  // values need all of them.
  const auto rows = [&] {
    if (!selected.defined()) return first;
    // Patch n of image b is row b · (P + N) + P + n, with the P tokens before the patches.
    const auto before = 1 + options_.registers;
    const auto image = selected.floor_divide(count - before);
    return torch::cat({first, selected + (image + 1) * before});
  }();
  const auto x =
      norm_->forward(blocks_.back()->forward_rows(tokens, rows, context_));  // [B + M, D]
  if (!selected.defined()) return {x, {}};
  return {x.narrow(0, 0, first.size(0)), x.narrow(0, first.size(0), selected.size(0))};
}

std::vector<BackboneOutput> VisionTransformer::intermediate(const torch::Tensor& images,
                                                            int64_t count) {
  IBOT_CHECK(count > 0 && count <= shape_.depth, "backbone: expected 1 to ", shape_.depth,
             " last blocks, got ", count);
  std::vector<BackboneOutput> outputs;
  auto tokens = embed(images);
  for (int64_t i = 0; i < shape_.depth; ++i) {
    tokens = blocks_[i]->forward(tokens, context_);
    if (i < shape_.depth - count) continue;
    // The final norm is applied to every block's output, as in the reference.
    const auto finished = norm_ ? norm_->forward(tokens) : tokens;
    outputs.push_back({finished.select(1, 0), patches_of(finished)});
  }
  return outputs;
}

torch::Tensor VisionTransformer::mean_patch_token(const torch::Tensor& images) {
  // Without a norm, also where the network has one.
  return patches_of(run_blocks(embed(images), blocks_.size())).mean(1);
}

torch::Tensor VisionTransformer::last_attention(const torch::Tensor& images) {
  return blocks_.back()->attention(run_blocks(embed(images), blocks_.size() - 1));
}

AttendedPatches VisionTransformer::attended_patches(const torch::Tensor& images) {
  const auto tokens = run_blocks(embed(images), blocks_.size() - 1);
  const auto attention = blocks_.back()->first_attention(tokens);  // [B, heads, 1 + R + N]
  // Patch tokens without the final norm, and the class token's attention to them.
  return {patches_of(blocks_.back()->forward(tokens, context_)),
          attention.slice(2, 1 + options_.registers)};
}

}  // namespace ibot::models
