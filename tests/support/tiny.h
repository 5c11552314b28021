// The smallest complete training set-up.
#pragma once

#include "ibot/batch/synthetic_source.h"
#include "ibot/train/step.h"

namespace ibot::testing {

/// A ViT of width 16 and depth 2 on 16-px images, 2 + 2 crops, drop path included.
inline train::StepOptions tiny_step_options() {
  train::StepOptions options;
  options.backbone.arch = "vit_tiny";
  options.backbone.image_size = 16;
  options.backbone.patch_size = 4;
  options.backbone.embed_dim = 16;
  options.backbone.depth = {2};
  options.backbone.heads = {2};
  options.head.prototypes = 24;
  options.head.patch_prototypes = 24;
  options.head.hidden_dim = 20;
  options.head.bottleneck_dim = 8;
  options.optim.lr = 0.05;
  return options;
}

/// Batches of three images for tiny_step_options, a pure function of the step.
class TinySource : public batch::BatchSource<batch::MultiCropBatch> {
 public:
  explicit TinySource(int64_t first_step = 0) : step_(first_step) {}

  std::optional<batch::MultiCropBatch> next() override {
    batch::SyntheticSource source({.images = 3,
                                   .global_crops = 2,
                                   .global_size = 16,
                                   .local_crops = 2,
                                   .local_size = 8,
                                   .mask = {},
                                   .grid = {4, 4},
                                   .seed = static_cast<uint64_t>(step_++)});
    return source.next();
  }

 private:
  int64_t step_;
};

}  // namespace ibot::testing
