// Losses of a detector.
#pragma once

#include <torch/types.h>

namespace ibot::boxes {

/// Sum of weight · (d² / (2 beta) where |d| < beta, else |d| - beta / 2), divided by `count`;
/// d is the difference.
///
///   predicted, target, weight  of one shape
torch::Tensor smooth_l1_loss(const torch::Tensor& predicted, const torch::Tensor& target,
                             const torch::Tensor& weight, double beta, double count);

/// Sum of weight · (1 - generalized IoU), divided by `count`.
///
///   predicted, target  [N, 4]  boxes
///   weight             [N]
torch::Tensor generalized_iou_loss(const torch::Tensor& predicted, const torch::Tensor& target,
                                   const torch::Tensor& weight, double count);

/// Sum of weight · binary cross-entropy of the logits, divided by `count`.
///
///   logits, is_object, weight  [N]
torch::Tensor objectness_loss(const torch::Tensor& logits, const torch::Tensor& is_object,
                              const torch::Tensor& weight, double count);

/// Binary cross-entropy of the masks of the objects' classes, over all their pixels; 0 for none.
///
///   logits  [N, K, H, W]
///   target  [N, H, W]     0 or 1
///   label   [N]           int64
torch::Tensor mask_loss(const torch::Tensor& logits, const torch::Tensor& target,
                        const torch::Tensor& label);

}  // namespace ibot::boxes
