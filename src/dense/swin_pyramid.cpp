#include "ibot/dense/swin_pyramid.h"

#include "ibot/base/error.h"
#include "ibot/nn/drop_path.h"

namespace ibot::dense {
namespace {

/// mmdetection's Swin, unlike the 1e-6 of pre-training.
constexpr double kNormEps = 1e-5;
constexpr size_t kMaps = 4;

/// Zeros on the right and below up to a multiple of `patch`.
torch::Tensor padded(const torch::Tensor& images, int64_t patch) {
  const auto rest = [patch](int64_t side) { return (patch - side % patch) % patch; };
  const auto right = rest(images.size(3)), below = rest(images.size(2));
  return right + below == 0 ? images : torch::constant_pad_nd(images, {0, right, 0, below});
}

}  // namespace

SwinPyramid::SwinPyramid(const DenseOptions& options, const models::SwinShape& shape)
    : DenseBackbone(options.frozen), shape_(shape), patch_size_(options.backbone.patch_size) {
  check_option(shape.size() == kMaps, "depth", "expected ", kMaps, " stages, got ", shape.size());
  patch_embed_ = register_module("patch_embed",
                                 nn::PatchEmbed(patch_size_, shape.front().width, /*norm=*/true));
  layers_ = register_module("layers", std::make_shared<torch::nn::Module>());
  add_stages(options.backbone);
  for (size_t i = 0; i < shape_.size(); ++i) {
    // One norm for each map, new: the pre-training's final norm is not used.
    norms_.push_back(register_module(concat("norm", i), nn::layer_norm(shape_[i].width)));
  }
  for (auto& layer : modules(/*include_self=*/false)) {
    if (auto* norm = layer->as<torch::nn::LayerNormImpl>()) norm->options.eps(kNormEps);
  }
  freeze();
}

void SwinPyramid::add_stages(const models::BackboneOptions& options) {
  int64_t depth = 0;
  for (const auto& stage : shape_) depth += stage.depth;
  const auto drop_path = nn::drop_path_rates(options.drop_path, depth);
  size_t number = 0;
  for (size_t i = 0; i < shape_.size(); ++i) {
    const auto& stage = shape_[i];
    // Every stage has the full window and every second block is shifted: maps are larger than those
    // of 224 pixels, for which pre-training reduces the last windows.
    auto& added = *stages_.emplace_back(
        layers_->register_module(std::to_string(i), std::make_shared<models::SwinStageImpl>()));
    const auto blocks = added.register_module("blocks", std::make_shared<torch::nn::Module>());
    for (int64_t block = 0; block < stage.depth; ++block) {
      added.blocks.push_back(blocks->register_module(
          std::to_string(block),
          nn::SwinBlock(nn::SwinBlockOptions{
              .embed_dim = stage.width,
              .heads = stage.heads,
              .windows = {.size = options.window_size,
                          .shift = block % 2 == 0 ? 0 : options.window_size / 2},
              .mlp_ratio = options.mlp_ratio,
              .qkv_bias = options.qkv_bias,
              .drop_path = drop_path[number++]})));
    }
    if (i + 1 < shape_.size()) {
      added.downsample = added.register_module("downsample", nn::PatchMerging(stage.width));
    }
  }
}

std::vector<std::shared_ptr<torch::nn::Module>> SwinPyramid::pretrained() const {
  return {patch_embed_.ptr(), layers_};
}

std::vector<int64_t> SwinPyramid::embed_dims() const {
  std::vector<int64_t> widths;
  for (const auto& stage : shape_) widths.push_back(stage.width);
  return widths;
}

std::vector<torch::Tensor> SwinPyramid::forward(const torch::Tensor& images) {
  const auto whole = padded(images, patch_size_);
  nn::MapSize size{whole.size(2) / patch_size_, whole.size(3) / patch_size_};
  auto tokens = patch_embed_->forward(whole);  // [B, L, D]
  std::vector<torch::Tensor> maps;
  for (size_t i = 0; i < stages_.size(); ++i) {
    for (auto& block : stages_[i]->blocks) tokens = block->forward(tokens, context(), size);
    // The map before merging: [B, C, rows, columns].
    maps.push_back(
        norms_[i]->forward(tokens).transpose(1, 2).unflatten(2, {size.rows, size.columns}));
    if (!stages_[i]->downsample) break;
    tokens = stages_[i]->downsample->forward(tokens, size);
    // Merging pads odd sides.
    size = {(size.rows + 1) / 2, (size.columns + 1) / 2};
  }
  return maps;
}

}  // namespace ibot::dense
