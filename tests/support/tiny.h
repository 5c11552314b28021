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

/// A Swin of two stages, 4 x 4 and 2 x 2 tokens, on the same images; its windows are padded.
inline models::BackboneOptions tiny_swin() {
  return {.arch = "swin_tiny",
          .patch_size = 4,
          .window_size = 3,
          .image_size = 16,
          .embed_dim = 8,
          .depth = {2, 1},
          .heads = {2, 4}};
}

/// A batch for tiny_step_options, a pure function of the step; masks are of `grid`.
inline batch::MultiCropBatch tiny_batch(int64_t images, int64_t step,
                                        mask::PatchGrid grid = {4, 4}) {
  batch::SyntheticSource source({.images = images,
                                 .global_crops = 2,
                                 .global_size = 16,
                                 .local_crops = 2,
                                 .local_size = 8,
                                 .mask = {},
                                 .grid = grid,
                                 .seed = static_cast<uint64_t>(step)});
  return *source.next();
}

/// One tiny_batch after the other.
class TinySource : public batch::BatchSource<batch::MultiCropBatch> {
 public:
  explicit TinySource(int64_t first_step = 0, int64_t images = 3)
      : step_(first_step), images_(images) {}

  std::optional<batch::MultiCropBatch> next() override { return tiny_batch(images_, step_++); }

 private:
  int64_t step_;
  const int64_t images_;
};

}  // namespace ibot::testing
