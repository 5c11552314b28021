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

/// Operations of the prototypes for one token.
double prototype_flops(const models::HeadOptions& head) {
  const auto input = head.bottleneck_dim > 0 ? head.bottleneck_dim : head.hidden_dim;
  return 2.0 * static_cast<double>(input * head.prototypes);
}

}  // namespace

double backbone_flops(const models::BackboneOptions& options, int64_t image_size) {
  const auto shape = models::vit_shape(options);
  const auto patches = static_cast<double>(models::mask_grid(options, image_size).size());
  const auto width = static_cast<double>(shape.embed_dim);
  const auto tokens = patches + 1.0;
  const auto pixels = 3.0 * static_cast<double>(options.patch_size * options.patch_size);
  const double linear = (4.0 + 2.0 * options.mlp_ratio) * width * width * tokens;
  const double attention = 2.0 * tokens * tokens * width;
  return 2.0 * (static_cast<double>(shape.depth) * (linear + attention) + pixels * width * patches);
}

double step_flops(const models::BackboneOptions& backbone, const models::HeadOptions& head,
                  const ViewCounts& views) {
  const auto width = static_cast<double>(models::vit_shape(backbone).embed_dim);
  const auto globals = static_cast<double>(views.global_crops);
  const auto locals = static_cast<double>(views.local_crops);
  const auto patches = static_cast<double>(models::mask_grid(backbone, views.global_size).size());
  const double masked = views.masked_ratio * patches;
  const double global = backbone_flops(backbone, views.global_size);
  const double local = views.local_crops > 0 ? backbone_flops(backbone, views.local_size) : 0.0;
  const double scored = globals * (1.0 + masked);
  const double student = globals * global + locals * local +
                         (scored + locals) * (trunk_flops(head, width) + prototype_flops(head));
  const double teacher = globals * global + globals * (1.0 + patches) * trunk_flops(head, width) +
                         (scored + 1.0) * prototype_flops(head);
  return 3.0 * student + teacher;
}

}  // namespace ibot::train
