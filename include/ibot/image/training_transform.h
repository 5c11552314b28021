// Training augmentation of supervised evaluations.
#pragma once

#include "ibot/base/rng.h"
#include "ibot/image/crop_view.h"
#include "ibot/image/image.h"
#include "ibot/image/training_options.h"

namespace ibot::data {

/// Fills `out` with a random resized crop, flipped with probability flip_prob, then augmented by
/// RandAugment or, without it, by color jitter.
///
///   out   size x size
///
/// Source: timm `create_transform` as the reference's fine-tuning uses it.
void training_transform(const Image& image, const TrainingTransformOptions& options, Rng& rng,
                        CropView out);

}  // namespace ibot::data
