// Labels that follow patches from frame to frame.
#pragma once

#include <torch/types.h>

#include <cstdint>

#include "ibot/eval/video_options.h"

namespace ibot::eval {

/// Labels of the first frame of a video carried on: a patch takes the mean label of those patches
/// of the first and of the last frames that it is most similar to. Only patches within the radius
/// are compared, some rows or columns at a time, so that time and memory grow with the window and
/// not with the square of a frame's patches.
///
/// Source: evaluation/eval_video_segmentation.py of the reference.
class Propagation {
 public:
  ///   features  [rows, columns, D]   of the first frame's patches
  ///   labels    [rows, columns]      int64, 0 to C - 1
  Propagation(const PropagationOptions& options, const torch::Tensor& features,
              const torch::Tensor& labels);

  /// Soft labels of the next frame, [C, rows, columns], on the features' device; they count as
  /// known from then on.
  ///
  ///   features  [rows, columns, D]
  torch::Tensor next(const torch::Tensor& features);

 private:
  void keep(const torch::Tensor& features, const torch::Tensor& labels);

  PropagationOptions options_;
  torch::Tensor features_;  // [rows, columns, frames, D], of length 1
  torch::Tensor labels_;    // [rows, columns, frames, C]
  torch::Tensor rounded_;   // the features in bfloat16; undefined where that is not faster
  int64_t oldest_ = 1;      // which of the frames makes room for the next one
};

/// Soft labels at the resolution of the image, each class from 0 to 1 where its largest value is
/// above 0.
///
///   soft     [C, rows, columns]
///   returns  [C, scale * rows, scale * columns]
torch::Tensor normalized_masks(const torch::Tensor& soft, int64_t scale);

/// The class of each pixel, the first of equals, resized as Pillow's nearest filter does: [H, W],
/// uint8, on the host.
///
///   masks  as normalized_masks gives them
torch::Tensor label_image(const torch::Tensor& masks, int64_t height, int64_t width);

/// The same resizing of a map of labels: [H, W] of its type.
torch::Tensor nearest(const torch::Tensor& map, int64_t height, int64_t width);

}  // namespace ibot::eval
