// Labels of patches from those around them in other frames.
#pragma once

#include <torch/types.h>

#include "ibot/eval/video_options.h"

namespace ibot::eval {

/// The frames that labels come from, patch by patch.
///
///   features  [rows, columns, frames, D]   float32, of length 1
///   labels    [rows, columns, frames, C]   float32
///   rounded   [rows, columns, frames, D]   rounded(features)
struct KnownFrames {
  torch::Tensor features;
  torch::Tensor labels;
  torch::Tensor rounded;
};

/// Features in bfloat16 where the processor multiplies it faster, else undefined.
torch::Tensor rounded(const torch::Tensor& features);

/// Labels of the patches of one frame, [rows, columns, C]: of the sources within the radius the
/// topk most similar ones, and those as similar as the last of them, averaged by
/// exp(similarity / temperature).
///
///   targets  [rows, columns, D]   float32, of length 1
///
/// On a CPU similarities exist a row of sources at a time and only the best are kept; with rounded
/// features products in bfloat16 choose the sources that are compared in float32, and labels are
/// the same. Elsewhere as by_blocks does.
torch::Tensor window_labels(const torch::Tensor& targets, const KnownFrames& known,
                            const PropagationOptions& options);

/// The same by whole windows of a block of targets, on any device.
torch::Tensor window_labels_by_blocks(const torch::Tensor& targets, const KnownFrames& known,
                                      const PropagationOptions& options);

}  // namespace ibot::eval
