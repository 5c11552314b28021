// Options of a detector's network.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace ibot::detection {

/// How many boxes become proposals: the best of each level before suppression at `threshold` of
/// overlap, and the best of all levels after it.
struct ProposalOptions {
  int64_t per_level = 2000;
  int64_t most = 2000;
  double threshold = 0.7;
};

/// One stage of a cascade. Proposals that overlap an object by `threshold` or more are positive;
/// `weight` is that of the stage's losses.
struct StageOptions {
  double threshold = 0.5;
  std::array<double, 4> deviations{0.1, 0.1, 0.2, 0.2};
  double weight = 1.0;
};

/// Defaults: those of the reference's Cascade Mask R-CNN.
///
///   inputs         channels of each of the backbone's maps, strides 4, 8, 16, 32
///   channels       of the pyramid and of the convolutions of all heads
///   hidden         width of the box heads' fully connected layer
///   synced_losses  whether losses are divided by what all ranks have sampled together, so that
///                  ranks count as one batch; mmdetection divides by what each rank has
struct DetectionOptions {
  int64_t classes = 80;
  std::array<int64_t, 4> inputs{384, 384, 384, 384};
  int64_t channels = 256;
  int64_t hidden = 1024;
  ProposalOptions train_proposals;
  ProposalOptions test_proposals{.per_level = 1000, .most = 1000};
  int64_t anchors_sampled = 256;
  double anchors_positive = 0.5;
  int64_t regions_sampled = 512;
  double regions_positive = 0.25;
  std::vector<StageOptions> stages{{0.5, {0.1, 0.1, 0.2, 0.2}, 1.0},
                                   {0.6, {0.05, 0.05, 0.1, 0.1}, 0.5},
                                   {0.7, {0.033, 0.033, 0.067, 0.067}, 0.25}};
  bool synced_losses = false;
};

}  // namespace ibot::detection
