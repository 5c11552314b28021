#include "ibot/train/flops.h"

#include "ibot/models/backbone.h"

namespace ibot::train {
namespace {

/// Operations of the head's MLP for one token.
double trunk_flops(const models::HeadOptions& head, double width) {
  const auto output = static_cast<double>(head.bottleneck_dim);
  const auto hidden = static_cast<double>(head.hidden_dim);
  if (head.layers == 1) return 2.0 * width * output;
  const auto inner = static_cast<double>(head.layers - 2);
  return 2.0 * (width * hidden + inner * hidden * hidden + hidden * output);
}

/// Numbers in a patch.
double patch_pixels(const models::BackboneOptions& options) {
  return 3.0 * static_cast<double>(options.patch_size * options.patch_size);
}

/// Operations of the prototypes for one token.
double prototype_flops(const models::HeadOptions& head) {
  const auto input = head.bottleneck_dim > 0 ? head.bottleneck_dim : head.hidden_dim;
  return 2.0 * static_cast<double>(input * head.prototypes);
}

double vit_flops(const models::BackboneOptions& options, int64_t image_size) {
  const auto shape = models::vit_shape(options);
  const auto patches = static_cast<double>(models::mask_grid(options, image_size).size());
  const auto width = static_cast<double>(shape.embed_dim);
  const auto tokens = patches + 1.0;
  const double linear = (4.0 + 2.0 * options.mlp_ratio) * width * width * tokens;
  const double attention = 2.0 * tokens * tokens * width;
  return 2.0 * (static_cast<double>(shape.depth) * (linear + attention) +
                patch_pixels(options) * width * patches);
}

/// Blocks of one stage on a map of side x side tokens. Padding takes part in attention.
double stage_flops(const models::BackboneOptions& options, const models::SwinStage& stage,
                   int64_t side) {
  const auto width = static_cast<double>(stage.width);
  const auto padded = (side + stage.window - 1) / stage.window * stage.window;
  const auto attending = static_cast<double>(padded * padded);
  const auto tokens = static_cast<double>(side * side);
  const auto window = static_cast<double>(stage.window * stage.window);
  const double attention = (4.0 * width + 2.0 * window) * width * attending;
  const double mlp = 2.0 * options.mlp_ratio * width * width * tokens;
  return 2.0 * static_cast<double>(stage.depth) * (attention + mlp);
}

double swin_flops(const models::BackboneOptions& options, int64_t image_size) {
  const auto shape = models::swin_shape(options);
  auto side = image_size / options.patch_size;
  double flops =
      2.0 * patch_pixels(options) * static_cast<double>(shape.front().width * side * side);
  for (size_t i = 0; i < shape.size(); ++i) {
    flops += stage_flops(options, shape[i], side);
    side = (side + 1) / 2;
    const auto width = static_cast<double>(shape[i].width);
    if (i + 1 < shape.size()) flops += 16.0 * width * width * static_cast<double>(side * side);
  }
  return flops;
}

}  // namespace

double backbone_flops(const models::BackboneOptions& options, int64_t image_size) {
  return models::is_swin(options) ? swin_flops(options, image_size)
                                  : vit_flops(options, image_size);
}

double step_flops(const models::BackboneOptions& backbone, const models::HeadOptions& head,
                  const ViewCounts& views) {
  const auto width = static_cast<double>(models::output_width(backbone));
  const auto globals = static_cast<double>(views.global_crops);
  const auto locals = static_cast<double>(views.local_crops);
  const auto patches = static_cast<double>(models::mask_grid(backbone, views.global_size).size());
  const auto local_patches =
      static_cast<double>(models::mask_grid(backbone, views.local_size).size());
  const bool masks_local = views.local_masked_ratio > 0.0;
  const double paired =
      globals * views.masked_ratio * patches + locals * views.local_masked_ratio * local_patches;
  const double global = backbone_flops(backbone, views.global_size);
  const double local = views.local_crops > 0 ? backbone_flops(backbone, views.local_size) : 0.0;
  const double student =
      globals * global + locals * local +
      (globals + locals + paired) * (trunk_flops(head, width) + prototype_flops(head));
  const double taught_locals = masks_local ? locals : 0.0;
  const double teacher =
      globals * global + taught_locals * local +
      (globals * (1.0 + patches) + taught_locals * local_patches) * trunk_flops(head, width) +
      (globals + paired + 1.0) * prototype_flops(head);
  return 3.0 * student + teacher;
}

}  // namespace ibot::train
