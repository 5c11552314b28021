#include "ibot/models/backbone.h"

#include <map>

#include "ibot/models/vision_transformer.h"

namespace ibot::models {
namespace {

const std::map<std::string, VitShape>& vit_presets() {
  static const std::map<std::string, VitShape> presets{
      {"vit_tiny", {192, 12, 3}},   {"deit_tiny", {192, 12, 3}}, {"vit_small", {384, 12, 6}},
      {"deit_small", {384, 12, 6}}, {"vit_base", {768, 12, 12}}, {"vit_large", {1024, 24, 16}}};
  return presets;
}

}  // namespace

SelectedTokens Backbone::forward_selected(const torch::Tensor& images, const torch::Tensor& mask,
                                          const torch::Tensor& selected) {
  const auto output = forward(images, mask);
  if (!selected.defined()) return {output.class_token, {}};
  return {output.class_token, output.patch_tokens.flatten(0, 1).index_select(0, selected)};
}

VitShape vit_shape(const BackboneOptions& options) {
  const auto preset = vit_presets().find(options.arch);
  if (preset == vit_presets().end()) {
    std::string known;
    for (const auto& [name, shape] : vit_presets()) known += (known.empty() ? "" : ", ") + name;
    throw OptionError("arch", concat("expected one of ", known, "; got ", options.arch));
  }
  auto shape = preset->second;
  if (options.embed_dim > 0) shape.embed_dim = options.embed_dim;
  if (options.depth > 0) shape.depth = options.depth;
  if (options.heads > 0) shape.heads = options.heads;
  check_option(shape.embed_dim % shape.heads == 0, "heads", "expected a divisor of the width ",
               shape.embed_dim, ", got ", shape.heads);
  return shape;
}

std::shared_ptr<Backbone> build_backbone(const BackboneOptions& options, Role role) {
  return std::make_shared<VisionTransformer>(options, vit_shape(options), role);
}

mask::PatchGrid mask_grid(const BackboneOptions& options, int64_t image_size) {
  return {image_size / options.patch_size, image_size / options.patch_size};
}

}  // namespace ibot::models
