// The loss of a segmentor, an image at a time.
#pragma once

#include <torch/types.h>

namespace ibot::segmentation {

struct PixelLossOptions {
  bool accuracy = false;
};

///   loss     []   the sum over labeled pixels divided by the number of ALL pixels
///   correct  []   share of all pixels whose highest score is their label's; undefined unless asked
struct PixelLoss {
  torch::Tensor loss;
  torch::Tensor correct;
};

/// Cross-entropy of the logits, enlarged bilinearly to the labels' size in float32. Enlarged scores
/// are those of one image at a time, and none of them is kept: the gradient with respect to the
/// small logits is computed beside the loss. First derivatives alone.
///
///   logits  [B, classes, H, W]
///   labels  [B, H', W']   any integer type, 255: counts nowhere
///
/// Source: mmsegmentation 0.12, CrossEntropyLoss and its mean.
PixelLoss pixel_loss(const torch::Tensor& logits, const torch::Tensor& labels,
                     const PixelLossOptions& options = {});

}  // namespace ibot::segmentation
