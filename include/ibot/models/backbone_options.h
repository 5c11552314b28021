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

/// The shape that `options.arch` names, with the overrides of `options`.
/// Throws OptionError on an unknown name, listing the known ones, and on heads that do not divide
/// the width.
VitShape vit_shape(const BackboneOptions& options);

struct BackboneOptions {
  std::string arch = "vit_small";
  int64_t patch_size = 16;
  int64_t image_size = 224;
  double drop_path = 0.1;
  bool masked_modeling = true;
  int64_t embed_dim = 0;
  int64_t depth = 0;
  int64_t heads = 0;
  double mlp_ratio = 4.0;
  bool qkv_bias = true;
  double layer_scale = 0.0;
  bool mean_pooling = false;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("arch", arch, "preset: vit_tiny, vit_small, vit_base, vit_large");
    field("patch_size", patch_size, "side of a patch in pixels");
    field("image_size", image_size, "side in pixels that position embeddings are learnt for");
    field("drop_path", drop_path, "stochastic depth of the student's last block, rising from 0");
    field("masked_modeling", masked_modeling, "replace masked patches of the student's input");
    field("embed_dim", embed_dim, "width; 0: the preset's");
    field("depth", depth, "number of blocks; 0: the preset's");
    field("heads", heads, "attention heads; 0: the preset's");
    field("mlp_ratio", mlp_ratio, "hidden width of a block's MLP over embed_dim");
    field("qkv_bias", qkv_bias, "bias of queries, keys and values");
    field("layer_scale", layer_scale, "initial scale of each residual branch; 0: none");
    field("mean_pooling", mean_pooling, "class token: normalised mean of the patch tokens");
  }

  void validate() const {
    check_option(patch_size > 0, "patch_size", "expected above 0, got ", patch_size);
    check_option(image_size > 0, "image_size", "expected above 0, got ", image_size);
    check_option(image_size % (patch_size > 0 ? patch_size : 1) == 0, "image_size",
                 "expected a multiple of backbone.patch_size ", patch_size, ", got ", image_size);
    check_option(drop_path >= 0 && drop_path < 1, "drop_path", "expected [0, 1), got ", drop_path);
    check_option(embed_dim >= 0, "embed_dim", "expected 0 or more, got ", embed_dim);
    check_option(depth >= 0, "depth", "expected 0 or more, got ", depth);
    check_option(heads >= 0, "heads", "expected 0 or more, got ", heads);
    check_option(mlp_ratio > 0, "mlp_ratio", "expected above 0, got ", mlp_ratio);
    check_option(layer_scale >= 0, "layer_scale", "expected 0 or more, got ", layer_scale);
    vit_shape(*this);
  }
};

}  // namespace ibot::models
