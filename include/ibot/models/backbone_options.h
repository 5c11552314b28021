// Options of the backbone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"

namespace ibot::models {

struct BackboneOptions;

/// Shape of a vision transformer.
struct VitShape {
  int64_t embed_dim = 0;
  int64_t depth = 0;
  int64_t heads = 0;
};

/// One stage of a Swin transformer. `window` and `shift` are those of its blocks, of which only
/// every second is shifted; they follow from the map that `image_size` gives, whatever the size of
/// an image later: a map no larger than the window is one window, without shift.
struct SwinStage {
  int64_t width = 0;
  int64_t depth = 0;
  int64_t heads = 0;
  int64_t window = 0;
  int64_t shift = 0;
};

using SwinShape = std::vector<SwinStage>;

/// Whether `options.arch` names a Swin transformer.
/// Throws OptionError on an unknown name, listing the known ones.
bool is_swin(const BackboneOptions& options);

/// The shape that `options.arch` names, a ViT, with the overrides of `options`.
/// Throws OptionError on a name of another kind, on lists of more than one number, and on heads
/// that do not divide the width.
VitShape vit_shape(const BackboneOptions& options);

/// The shape that `options.arch` names, a Swin transformer, with the overrides of `options`.
/// Throws OptionError on a name of another kind, on options that it does not have, on lists of
/// different lengths, on heads that do not divide the width of their stage, and on an image size
/// that leaves the last stage without a token.
SwinShape swin_shape(const BackboneOptions& options);

/// Width of the output tokens. Throws as vit_shape or swin_shape.
int64_t output_width(const BackboneOptions& options);

/// Side in pixels of what one output token stands for. Throws as vit_shape or swin_shape.
int64_t token_pixels(const BackboneOptions& options);

struct BackboneOptions {
  std::string arch = "vit_small";
  int64_t patch_size = 16;
  int64_t window_size = 7;
  int64_t image_size = 224;
  double drop_path = 0.1;
  bool masked_modeling = true;
  int64_t embed_dim = 0;
  std::vector<int64_t> depth;
  std::vector<int64_t> heads;
  double mlp_ratio = 4.0;
  bool qkv_bias = true;
  double layer_scale = 0.0;
  bool mean_pooling = false;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("arch", arch, "preset: vit_ or swin_ and tiny, small, base or large");
    field("patch_size", patch_size, "side of a patch in pixels; 4 with swin");
    field("window_size", window_size, "side in tokens of swin's attention windows");
    field("image_size", image_size,
          "side in pixels that vit's position embeddings and swin's windows are made for");
    field("drop_path", drop_path, "stochastic depth of the student's last block, rising from 0");
    field("masked_modeling", masked_modeling, "replace masked patches of the student's input");
    field("embed_dim", embed_dim, "width, of swin that of the first stage; 0: the preset's");
    field("depth", depth, "number of blocks, of swin one for each stage; []: the preset's");
    field("heads", heads, "attention heads, of swin one for each stage; []: the preset's");
    field("mlp_ratio", mlp_ratio, "hidden width of a block's MLP over embed_dim");
    field("qkv_bias", qkv_bias, "bias of queries, keys and values");
    field("layer_scale", layer_scale, "initial scale of each residual branch; 0: none");
    field("mean_pooling", mean_pooling, "class token: normalised mean of the patch tokens");
  }

  void validate() const {
    check_option(patch_size > 0, "patch_size", "expected above 0, got ", patch_size);
    check_option(window_size > 0, "window_size", "expected above 0, got ", window_size);
    check_option(image_size > 0, "image_size", "expected above 0, got ", image_size);
    check_option(image_size % (patch_size > 0 ? patch_size : 1) == 0, "image_size",
                 "expected a multiple of backbone.patch_size ", patch_size, ", got ", image_size);
    check_option(drop_path >= 0 && drop_path < 1, "drop_path", "expected [0, 1), got ", drop_path);
    check_option(embed_dim >= 0, "embed_dim", "expected 0 or more, got ", embed_dim);
    check_option(mlp_ratio > 0, "mlp_ratio", "expected above 0, got ", mlp_ratio);
    check_option(layer_scale >= 0, "layer_scale", "expected 0 or more, got ", layer_scale);
    output_width(*this);
  }
};

}  // namespace ibot::models
