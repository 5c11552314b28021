// What heads, losses and evaluations know of a backbone.
#pragma once

#include <torch/nn/module.h>

#include <memory>
#include <vector>

#include "ibot/mask/patch_mask.h"
#include "ibot/models/backbone_options.h"
#include "ibot/nn/block_context.h"

namespace ibot::models {

/// Tokens of one image batch.
///
///   class_token   [B, D]      of a backbone without one: the mean of its patch tokens
///   patch_tokens  [B, N, D]   row-major over the patch grid
struct BackboneOutput {
  torch::Tensor class_token;
  torch::Tensor patch_tokens;
};

/// Class tokens of all images and some patch tokens.
///
///   class_token   [B, D]
///   patch_tokens  [M, D]   one below the other; undefined where none were selected
struct SelectedTokens {
  torch::Tensor class_token;
  torch::Tensor patch_tokens;
};

/// A vision transformer seen from outside.
class Backbone : public torch::nn::Module {
 public:
  /// Final, normalised tokens.
  ///
  ///   images  [B, 3, H, W]
  ///   mask    [B, N]   bool, patches to replace by the mask token; undefined: none
  ///
  /// Throws Error on images smaller than a patch or of a shape that the backbone cannot take, a
  /// mask of another shape, or a mask given to a backbone without mask token.
  virtual BackboneOutput forward(const torch::Tensor& images, const torch::Tensor& mask = {}) = 0;

  /// forward's class tokens and, of its patch tokens, only the selected ones; cheaper, since a
  /// backbone can leave out what nobody reads.
  ///
  ///   selected  [M]   int64, indices in the flattened patches of all images [B·N]; undefined: none
  virtual SelectedTokens forward_selected(const torch::Tensor& images, const torch::Tensor& mask,
                                          const torch::Tensor& selected);

  /// Outputs of the last `count` blocks, oldest first, each through the final norm; of a backbone
  /// in stages, the last stage's alone are normalised, and earlier ones have a width of their own.
  virtual std::vector<BackboneOutput> intermediate(const torch::Tensor& images, int64_t count) = 0;

  /// Mean patch token of the last block, [B, D]; of a ViT before the final norm, as the reference
  /// reads it. Throws as forward.
  virtual torch::Tensor mean_patch_token(const torch::Tensor& images);

  /// Softmax attention of the last block: [B, heads, 1 + R + N, 1 + R + N], the R registers between
  /// class and patch tokens; of a backbone that attends
  /// within W windows of T tokens: [B·W, heads, T, T].
  virtual torch::Tensor last_attention(const torch::Tensor& images) = 0;

  /// Width D of the output tokens.
  virtual int64_t embed_dim() const = 0;

  /// Patches of an image of this size.
  virtual mask::PatchGrid grid(int64_t height, int64_t width) const = 0;

  /// How blocks run from now on; it matters in training mode only.
  virtual void set_context(nn::BlockContext context) = 0;
};

/// Whose part the backbone plays: the student alone has drop path and a mask token.
enum class Role { kStudent, kTeacher };

/// Builds the backbone that `options.arch` names; throws as output_width.
std::shared_ptr<Backbone> build_backbone(const BackboneOptions& options, Role role);

/// The output tokens that build_backbone's result will give for an image of a multiple of
/// token_pixels, without building it; the data loader samples masks on this grid.
mask::PatchGrid mask_grid(const BackboneOptions& options, int64_t image_size);

}  // namespace ibot::models
