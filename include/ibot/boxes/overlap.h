// How much boxes overlap. A box is x1, y1, x2, y2 in pixels, its width x2 - x1.
#pragma once

#include <torch/types.h>

namespace ibot::boxes {

/// Intersection over union of every pair, in float32 in the order
/// intersection / max(area_a + area_b - intersection, 1e-6): anchors are assigned where overlaps
/// are equal, so another order would assign others.
///
///   a        [N, 4]
///   b        [M, 4]
///   returns  [N, M]
///
/// Source: mmdetection 2.11, bbox_overlaps.
torch::Tensor iou(const torch::Tensor& a, const torch::Tensor& b);

/// Intersection over the area of `a`, floored at 1e-6.
torch::Tensor intersection_share(const torch::Tensor& a, const torch::Tensor& b);

/// Generalized IoU of every pair: IoU - (enclosing - union) / enclosing, with union and enclosing
/// area floored at 1e-6 (Rezatofighi et al. 2019).
torch::Tensor generalized_iou(const torch::Tensor& a, const torch::Tensor& b);

/// The same row by row: [N, 4] and [N, 4] give [N]. Differentiable.
torch::Tensor paired_generalized_iou(const torch::Tensor& a, const torch::Tensor& b);

}  // namespace ibot::boxes
