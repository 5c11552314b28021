// Options that several groups of reference values describe alike.
#pragma once

#include "ibot/loss/loss_options.h"
#include "ibot/models/backbone_options.h"
#include "support/read_json.h"

namespace ibot::testing {

/// One number or a list of them.
inline std::vector<int64_t> integers_of(const ReadJson& value) {
  if (value.is_array()) return value.get<std::vector<int64_t>>();
  return {value.get<int64_t>()};
}

/// A ViT or a Swin from the `config` of a case that describes a backbone.
inline models::BackboneOptions backbone_options_of(const ReadJson& config) {
  const bool swin = config["arch"].get<std::string>() == "swin";
  models::BackboneOptions options;
  options.arch = swin ? "swin_tiny" : "vit_tiny";
  options.image_size = config["img_size"];
  options.patch_size = config["patch_size"];
  options.embed_dim = config["embed_dim"];
  options.depth = integers_of(config[swin ? "depths" : "depth"]);
  options.heads = integers_of(config["num_heads"]);
  options.mlp_ratio = config["mlp_ratio"];
  options.qkv_bias = config["qkv_bias"];
  options.drop_path = config["drop_path"];
  options.masked_modeling = config["masked_im_modeling"];
  expect_built_in(config["norm_eps"], 1e-6);
  if (swin) {
    options.window_size = config["window_size"];
    expect_built_in(config["patch_norm"], true);
    expect_built_in(config["ape"], false);
  } else {
    options.layer_scale = config["layer_scale_init"];
    options.mean_pooling = config["use_mean_pooling"];
  }
  return options;
}

/// From the `config` of a case, which has the official arguments' names.
inline loss::LossOptions loss_options_of(const ReadJson& config) {
  return {.weight_cls = config["lambda1"],
          .weight_patch = config["lambda2"],
          .student_temp = config["student_temp"],
          .warmup_teacher_temp = config["warmup_teacher_temp"],
          .teacher_temp = config["teacher_temp"],
          .warmup_teacher_patch_temp = config["warmup_teacher_patch_temp"],
          .teacher_patch_temp = config["teacher_patch_temp"],
          .warmup_teacher_temp_epochs = config["warmup_teacher_temp_epochs"],
          .center_momentum = config["center_momentum"],
          .center_momentum_patch = config["center_momentum2"]};
}

}  // namespace ibot::testing
