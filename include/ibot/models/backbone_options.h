// Options of the backbone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"

namespace ibot::models {

struct BackboneOptions;

/// Width of the output tokens. Throws OptionError on options that no architecture supports.
int64_t output_width(const BackboneOptions& options);

/// Side of the image area of one output token, in pixels. Throws as output_width.
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
  int64_t registers = 0;
  bool rel_pos_bias = false;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("arch", arch, "preset such as vit_small or swin_tiny; an unknown name lists all");
    field("patch_size", patch_size, "side of a patch in pixels; must be 4 for swin");
    field("window_size", window_size, "side of swin's attention windows in tokens");
    field("image_size", image_size,
          "image side in pixels for which vit's position embeddings and swin's windows are built");
    field("drop_path", drop_path,
          "drop-path rate of the student's last block, rising linearly from 0");
    field("masked_modeling", masked_modeling,
          "replace the student's masked patches by a mask token");
    field("embed_dim", embed_dim, "width, for swin of the first stage; 0: the preset's");
    field("depth", depth, "number of blocks, for swin per stage; []: the preset's");
    field("heads", heads, "attention heads, for swin per stage; []: the preset's");
    field("mlp_ratio", mlp_ratio, "hidden width of the MLPs divided by the embedding width");
    field("qkv_bias", qkv_bias, "bias of queries, keys and values");
    field("layer_scale", layer_scale, "LayerScale: initial scale of residual branches; 0: none");
    field("mean_pooling", mean_pooling, "use the normalized mean patch token as class token");
    field("registers", registers, "learned register tokens of vit, excluded from its output");
    field("rel_pos_bias", rel_pos_bias,
          "learned bias of vit's attention by the offset between patches; swin always has one");
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
    check_option(registers >= 0, "registers", "expected 0 or more, got ", registers);
    output_width(*this);
  }
};

}  // namespace ibot::models
