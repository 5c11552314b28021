// FLOPs of a training step, counted from shapes.
#pragma once

#include <torch/types.h>

#include <cstdint>

#include "ibot/models/backbone_options.h"
#include "ibot/models/head_options.h"

namespace ibot::train {

/// Views of one image, and the mean fractions of their patches that enter the loss; the teacher
/// sees local crops if local_masked_ratio is above 0.
struct ViewCounts {
  int64_t global_crops = 2;
  int64_t global_size = 224;
  int64_t local_crops = 0;
  int64_t local_size = 96;
  double masked_ratio = 0.0;
  double local_masked_ratio = 0.0;
};

/// FLOPs (a multiply-add counts as two) of the backbone's forward pass for one image of
/// `image_size` pixels: matrix products and attention. Norms and activations, below one percent,
/// are not counted.
double backbone_flops(const models::BackboneOptions& options, int64_t image_size);

/// Floating-point operations a second of large matrix products of this type on this device, the
/// best of several within a few milliseconds of work: what a step's are compared with. Draws no
/// random numbers.
double product_flops_per_s(torch::Device device, torch::ScalarType type);

/// Useful FLOPs of one training step for one image: forward and backward of the student, counted as
/// three forwards, and one forward of the teacher, with heads on used tokens only.
double step_flops(const models::BackboneOptions& backbone, const models::HeadOptions& head,
                  const ViewCounts& views);

}  // namespace ibot::train
