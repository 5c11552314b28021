// Features by which images are found again.
#pragma once

#include <torch/types.h>

#include <vector>

#include "ibot/eval/features.h"

namespace ibot::eval {

/// Embeds images at several sizes, adds up the features, divides by their number and scales the sum
/// to length 1.
///
///   embedding  of one batch
///   images     [B, 3, H, W]   normalized
///   scales     factors of both sides; sizes are rounded down, coordinates are those of the factor
///   returns    [B, F]
///
/// Source: DINO's multi_scale, as evaluation/eval_image_retrieval.py of the reference calls it.
torch::Tensor multi_scale_features(const Embedding& embedding, const torch::Tensor& images,
                                   const std::vector<double>& scales);

/// Generalised mean of patch tokens with exponent 4, of values of at least 1e-6.
///
///   patch_tokens  [B, N, D]
///   returns       [B, D]
torch::Tensor generalized_mean(const torch::Tensor& patch_tokens);

/// The class token, then the generalised mean of the patch tokens, both after the final norm.
///
///   images   [B, 3, H, W]   normalized
///   returns  [B, 2 D]
///
/// Source: evaluation/eval_copy_detection.py of the reference.
torch::Tensor copy_descriptors(models::Backbone& backbone, const torch::Tensor& images);

}  // namespace ibot::eval
