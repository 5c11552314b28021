// What a detector is trained on, and what its parts report.
#pragma once

#include <torch/types.h>

#include <string>
#include <utility>
#include <vector>

#include "ibot/base/rng.h"
#include "ibot/boxes/coding.h"
#include "ibot/dist/group.h"

namespace ibot::detection {

/// The objects of one image of a padded batch.
///
///   size    of the image without padding
///   boxes   [M, 4]        float32, x1, y1, x2, y2 in pixels of the batch
///   labels  [M]           int64
///   masks   [M, H', W']   uint8, 0 or 1; from the image's corner, at least of its size
///   draw    what of it is sampled
struct ImageTruth {
  boxes::ImageSize size;
  torch::Tensor boxes;
  torch::Tensor labels;
  torch::Tensor masks;
  Rng draw{0, 0, 0, 0};
};

/// Terms of the loss by name, already weighted; scalars.
using Terms = std::vector<std::pair<std::string, torch::Tensor>>;

/// What a loss is divided by: `count` of this rank, or where `synced` the mean over ranks, by which
/// the mean of the ranks' gradients is that of all of them as one batch.
torch::Tensor divisor(double count, const dist::Group& group, bool synced, torch::Device device);

}  // namespace ibot::detection
