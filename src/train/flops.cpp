#include "ibot/train/flops.h"

#include "ibot/models/architecture.h"

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
  return models::architecture_of(options.arch).flops(options, image_size);
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
