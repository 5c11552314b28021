#include "ibot/dense/vit_pyramid.h"

#include <algorithm>

#include "ibot/base/error.h"
#include "ibot/nn/batch_norm.h"
#include "ibot/nn/drop_path.h"

namespace ibot::dense {
namespace {

constexpr size_t kMaps = 4;

torch::nn::ConvTranspose2d doubling(int64_t channels) {
  return torch::nn::ConvTranspose2d(
      torch::nn::ConvTranspose2dOptions(channels, channels, 2).stride(2));
}

torch::Tensor pooled(const torch::Tensor& map, int64_t factor) {
  return at::max_pool2d(map, {factor, factor}, {factor, factor});
}

/// A CPU's convolutions and losses are faster on planes in float32, and else, as a GPU's are, on
/// channels side by side, as tokens have them.
torch::Tensor in_order(const torch::Tensor& maps) {
  return maps.is_cpu() && maps.scalar_type() == torch::kFloat ? maps.contiguous() : maps;
}

void check_options(const DenseOptions& options, const std::vector<int64_t>& taps, int64_t depth) {
  IBOT_CHECK_AS(ConfigError, !options.backbone.rel_pos_bias,
                "backbone.rel_pos_bias: expected false for images of several sizes, got true");
  check_option(taps.size() == kMaps && std::is_sorted(taps.begin(), taps.end()) &&
                   taps.front() >= 0 && taps.back() < depth,
               "taps", "expected ", kMaps, " ascending blocks from 0 to ", depth - 1);
  const auto patch = options.backbone.patch_size;
  IBOT_CHECK_AS(ConfigError, !options.pyramid || patch == 16 || patch == 8,
                "backbone.patch_size: expected 8 or 16 for a pyramid of strides 4 to 32, got ",
                patch);
}

}  // namespace

VitPyramid::VitPyramid(const DenseOptions& options, const models::VitShape& shape)
    : DenseBackbone(options.frozen),
      shape_(shape),
      patch_size_(options.backbone.patch_size),
      registers_(options.backbone.registers),
      taps_(options.taps.empty() ? default_taps(shape.depth) : options.taps),
      has_pyramid_(options.pyramid),
      position_rule_(options.position_rule),
      stored_(options.positions) {
  check_options(options, taps_, shape.depth);
  const auto width = shape.embed_dim;
  if (stored_.rows == 0) {
    const auto side = options.backbone.image_size / patch_size_;
    stored_ = {side, side};
  }
  cls_token_ = register_parameter("cls_token", torch::zeros({1, 1, width}));
  pos_embed_ =
      register_parameter("pos_embed", torch::zeros({1, stored_.rows * stored_.columns + 1, width}));
  if (registers_ > 0) {
    register_tokens_ = register_parameter("register_tokens", torch::zeros({1, registers_, width}));
  }
  patch_embed_ = register_module("patch_embed", nn::PatchEmbed(patch_size_, width));
  add_blocks(options.backbone);
  if (options.out_with_norm) norm_ = register_module("norm", nn::layer_norm(width));
  if (has_pyramid_) add_pyramid();
  freeze();
}

void VitPyramid::add_blocks(const models::BackboneOptions& options) {
  const auto blocks = register_module("blocks", std::make_shared<torch::nn::Module>());
  const auto drop_path = nn::drop_path_rates(options.drop_path, shape_.depth);
  for (int64_t i = 0; i < shape_.depth; ++i) {
    blocks_.push_back(blocks->register_module(
        std::to_string(i), nn::Block(nn::BlockOptions{.embed_dim = shape_.embed_dim,
                                                      .heads = shape_.heads,
                                                      .mlp_ratio = options.mlp_ratio,
                                                      .qkv_bias = options.qkv_bias,
                                                      .drop_path = drop_path[i],
                                                      .layer_scale = options.layer_scale})));
  }
}

void VitPyramid::add_pyramid() {
  const auto width = shape_.embed_dim;
  // Names of the reference's Sequential, in which number 2 is the GELU.
  const auto first = register_module("fpn1", std::make_shared<torch::nn::Module>());
  enlarge_ = first->register_module("0", doubling(width));
  if (patch_size_ == 8) return;
  enlarged_norm_ = first->register_module("1", torch::nn::BatchNorm2d(width));
  enlarge_twice_ = first->register_module("3", doubling(width));
  const auto second = register_module("fpn2", std::make_shared<torch::nn::Module>());
  enlarge_second_ = second->register_module("0", doubling(width));
}

std::vector<std::shared_ptr<torch::nn::Module>> VitPyramid::pretrained() const {
  std::vector<std::shared_ptr<torch::nn::Module>> parts{patch_embed_.ptr()};
  for (const auto& block : blocks_) parts.push_back(block.ptr());
  if (norm_) parts.push_back(norm_.ptr());
  return parts;
}

std::vector<int64_t> VitPyramid::embed_dims() const {
  return std::vector<int64_t>(kMaps, shape_.embed_dim);
}

torch::Tensor VitPyramid::positions(int64_t height, int64_t width) const {
  const nn::PositionGrid wanted{height / patch_size_, width / patch_size_};
  // Segmentation asks for the native number of patches in a square, detection for the stored grid.
  const bool native =
      position_rule_ == PositionRule::kSquare
          ? height == width && wanted.rows * wanted.columns + 1 == pos_embed_.size(1)
          : wanted.rows == stored_.rows && wanted.columns == stored_.columns;
  return native ? pos_embed_ : nn::interpolate_pos_embed(pos_embed_, stored_, wanted);
}

torch::Tensor VitPyramid::embed(const torch::Tensor& images) {
  const auto patches = patch_embed_->forward(images);  // [B, N, D]
  const auto whole = [&](const torch::Tensor& token) {
    return token.expand({images.size(0), -1, -1}).to(patches.dtype());
  };
  const auto tokens =
      torch::cat({whole(cls_token_), patches}, 1) + positions(images.size(2), images.size(3));
  if (!register_tokens_.defined()) return tokens;
  return torch::cat(
      {tokens.narrow(1, 0, 1), whole(register_tokens_).to(tokens.dtype()), tokens.slice(1, 1)},
      1);  // [B, 1 + R + N, D]
}

std::vector<torch::Tensor> VitPyramid::tapped(const torch::Tensor& images) {
  const auto rows = images.size(2) / patch_size_, columns = images.size(3) / patch_size_;
  std::vector<torch::Tensor> maps;
  auto tokens = embed(images);
  for (int64_t i = 0; i <= taps_.back(); ++i) {
    tokens = blocks_[i]->forward(tokens, context());
    // A block may be tapped more than once in a shallow network.
    for (auto taken = std::count(taps_.begin(), taps_.end(), i); taken > 0; --taken) {
      const auto patches = tokens.slice(1, 1 + registers_);
      // The same final norm for every tap.
      const auto output = norm_ ? norm_->forward(patches) : patches;
      maps.push_back(in_order(output.transpose(1, 2).unflatten(2, {rows, columns})));
    }
  }
  return maps;
}

std::vector<torch::Tensor> VitPyramid::forward(const torch::Tensor& images) {
  auto maps = tapped(images);
  if (!has_pyramid_) return maps;
  IBOT_CHECK(std::min(maps[3].size(2), maps[3].size(3)) * patch_size_ >= 32,
             "dense backbone: expected images of at least 32 pixels, got ", images.sizes());
  if (patch_size_ == 8) {
    // From stride 8 to 4, 8, 16, 32.
    return {enlarge_->forward(maps[0]), maps[1], pooled(maps[2], 2), pooled(maps[3], 4)};
  }
  // From stride 16 to 4, 8, 16, 32.
  const auto doubled = nn::batch_norm(*enlarged_norm_, enlarge_->forward(maps[0]), group());
  return {enlarge_twice_->forward(at::gelu(doubled)), enlarge_second_->forward(maps[1]), maps[2],
          pooled(maps[3], 2)};
}

}  // namespace ibot::dense
