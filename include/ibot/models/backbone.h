// The interface of backbones to heads, losses and evaluations.
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
///   class_token   [B, D]      mean of the patch tokens if the backbone has no class token
///   patch_tokens  [B, N, D]   row-major over the patch grid
struct BackboneOutput {
  torch::Tensor class_token;
  torch::Tensor patch_tokens;
};

/// Class tokens of all images and some patch tokens.
///
///   class_token   [B, D]
///   patch_tokens  [M, D]   the selected ones; undefined if none were selected
struct SelectedTokens {
  torch::Tensor class_token;
  torch::Tensor patch_tokens;
};

/// Patches of the last block, and what its class token attends to.
///
///   patch_tokens  [B, N, D]       before the final norm
///   attention     [B, heads, N]   softmax over all tokens, of which these are the patches
struct AttendedPatches {
  torch::Tensor patch_tokens;
  torch::Tensor attention;
};

/// A vision transformer.
class Backbone : public torch::nn::Module {
 public:
  /// Final, normalized tokens.
  ///
  ///   images  [B, 3, H, W]
  ///   mask    [B, N]   bool, patches to replace by the mask token; undefined: none
  ///
  /// Throws Error on images smaller than a patch or of an unsupported shape, on a mask of another
  /// shape, and on a mask given to a backbone without mask token.
  virtual BackboneOutput forward(const torch::Tensor& images, const torch::Tensor& mask = {}) = 0;

  /// Class tokens of forward() and only the selected patch tokens; cheaper, since a backbone can
  /// skip what is not read.
  ///
  ///   selected  [M]   int64, indices into the flattened patches of all images [B·N]; if undefined,
  ///                   none are selected
  virtual SelectedTokens forward_selected(const torch::Tensor& images, const torch::Tensor& mask,
                                          const torch::Tensor& selected);

  /// Outputs of the last `count` blocks, earliest first, each through the final norm. In a backbone
  /// with stages only the last stage is normalized, and earlier ones have other widths.
  virtual std::vector<BackboneOutput> intermediate(const torch::Tensor& images, int64_t count) = 0;

  /// Mean patch token of the last block, [B, D]; for a ViT before the final norm, as in the
  /// reference. Throws as forward().
  virtual torch::Tensor mean_patch_token(const torch::Tensor& images);

  /// Softmax attention of the last block: [B, heads, 1 + R + N, 1 + R + N], with R registers
  /// between class and patch tokens; for attention within W windows of T tokens: [B·W, heads, T,
  /// T].
  virtual torch::Tensor last_attention(const torch::Tensor& images) = 0;

  /// Throws Error for a backbone without a class token among its patches, and as forward.
  virtual AttendedPatches attended_patches(const torch::Tensor& images);

  /// Width D of the output tokens.
  virtual int64_t embed_dim() const = 0;

  /// Patch grid of an image of this size.
  virtual mask::PatchGrid grid(int64_t height, int64_t width) const = 0;

  /// Sets how blocks run from now on; affects training mode only.
  virtual void set_context(nn::BlockContext context) = 0;
};

/// Role of a backbone: only the student has drop path and a mask token.
enum class Role { kStudent, kTeacher };

/// Builds the backbone named by `options.arch`; throws as output_width().
std::shared_ptr<Backbone> build_backbone(const BackboneOptions& options, Role role);

/// The grid of output tokens for an image whose size is a multiple of token_pixels, without
/// building the backbone; the data loader samples masks on this grid.
mask::PatchGrid mask_grid(const BackboneOptions& options, int64_t image_size);

}  // namespace ibot::models
