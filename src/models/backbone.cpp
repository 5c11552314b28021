#include "ibot/models/backbone.h"

#include "ibot/models/architecture.h"

namespace ibot::models {

SelectedTokens Backbone::forward_selected(const torch::Tensor& images, const torch::Tensor& mask,
                                          const torch::Tensor& selected) {
  const auto output = forward(images, mask);
  if (!selected.defined()) return {output.class_token, {}};
  // `selected` counts over the patches of all images: [M, D].
  return {output.class_token, output.patch_tokens.flatten(0, 1).index_select(0, selected)};
}

torch::Tensor Backbone::mean_patch_token(const torch::Tensor& images) {
  return forward(images).patch_tokens.mean(1);
}

AttendedPatches Backbone::attended_patches(const torch::Tensor& /*images*/) {
  throw Error("backbone: expected one whose class token attends to patches, as a ViT's does");
}

std::shared_ptr<Backbone> build_backbone(const BackboneOptions& options, Role role) {
  check_keys(options);
  return architecture_of(options.arch).build(options, role);
}

mask::PatchGrid mask_grid(const BackboneOptions& options, int64_t image_size) {
  const auto pixels = token_pixels(options);
  return {image_size / pixels, image_size / pixels};
}

}  // namespace ibot::models
