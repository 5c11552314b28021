#include "ibot/train/flops.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/mm.h>

#include <algorithm>
#include <chrono>

#include "ibot/models/architecture.h"

namespace ibot::train {
namespace {

/// FLOPs of the head's MLP for one token.
double trunk_flops(const models::HeadOptions& head, double width) {
  const auto output = static_cast<double>(head.bottleneck_dim);
  const auto hidden = static_cast<double>(head.hidden_dim);
  // A multiply-add is two operations.
  if (head.layers == 1) return 2.0 * width * output;
  const auto inner = static_cast<double>(head.layers - 2);
  return 2.0 * (width * hidden + inner * hidden * hidden + hidden * output);
}

/// FLOPs of the prototypes for one token.
double prototype_flops(const models::HeadOptions& head) {
  const auto input = head.bottleneck_dim > 0 ? head.bottleneck_dim : head.hidden_dim;
  return 2.0 * static_cast<double>(input * head.prototypes);
}

}  // namespace

double backbone_flops(const models::BackboneOptions& options, int64_t image_size) {
  return models::architecture_of(options.arch).flops(options, image_size);
}

double product_flops_per_s(torch::Device device, torch::ScalarType type) {
  const int64_t side = device.is_cpu() ? 768 : 4096;
  const int products =
      device.is_cpu() ? 1 : 8;  // of a GPU the way there and back is as long as one
  // Numbers of all sizes: products of zeros may run faster.
  const auto values =
      at::arange(side * side, torch::TensorOptions(device).dtype(torch::kFloat)).sin();
  const auto factor = values.view({side, side}).to(type);
  auto product = factor.clone();
  double best_s = 0.0;
  for (int attempt = 0; attempt < 4; ++attempt) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < products; ++i) at::mm_out(product, factor, factor);
    product[0][0].item();  // waits for the device
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    // The best of several: the first one starts the device and its library.
    best_s = attempt == 0 ? taken.count() : std::min(best_s, taken.count());
  }
  const auto length = static_cast<double>(side);
  return 2.0 * length * length * length * products / best_s;
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
  // The teacher's trunk runs on all tokens, since the center follows the mean over all patches.
  const double teacher =
      globals * global + taught_locals * local +
      (globals * (1.0 + patches) + taught_locals * local_patches) * trunk_flops(head, width) +
      (globals + paired + 1.0) * prototype_flops(head);
  // A backward pass costs two forward passes: gradients of inputs and of weights.
  return 3.0 * student + teacher;
}

}  // namespace ibot::train
