// Labels that follow patches from frame to frame.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "ibot/eval/video_options.h"

namespace ibot::eval {

/// Labels of the first frame of a video carried on: a patch takes the mean label of those patches
/// of the first and of the last frames that it is most similar to. Only patches within the radius
/// are compared, a block of targets at a time, so that time and memory grow with the window and not
/// with the square of a frame's patches.
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
  /// A range of rows or columns of targets, and of the sources around it.
  struct Span {
    int64_t begin = 0;
    int64_t end = 0;
    int64_t from = 0;
    int64_t to = 0;
    torch::Tensor near;  // [targets, sources], 1 within the radius, else 0
  };
  /// Columns that are computed together, with the features of known frames around them.
  struct Strip {
    Span columns;
    torch::Tensor features;  // [rows, frames, sources, D], of length 1
    torch::Tensor labels;    // [rows, frames, sources, C + 1], the last one 1
  };

  std::vector<Span> spans(int64_t count, int64_t targets) const;
  void keep(int64_t slot, const torch::Tensor& features, const torch::Tensor& labels);
  torch::Tensor labels_of(const Strip& strip, const Span& rows,
                          const torch::Tensor& features) const;

  PropagationOptions options_;
  torch::TensorOptions tensor_options_;
  std::vector<Span> rows_;
  std::vector<Strip> strips_;
  int64_t known_ = 1;   // frames so far
  int64_t frames_ = 1;  // of them that are looked at
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
