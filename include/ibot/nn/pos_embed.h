// Position embeddings for images of any size.
#pragma once

#include <torch/types.h>

namespace ibot::nn {

/// Position embeddings of a grid of rows x columns patches.
///
///   pos_embed  [1, 1 + S·S, D]   slot 0 belongs to the class token and is copied
///   native     true: the image has the size the embedding was learnt for, which is returned as is
///   returns    [1, 1 + rows·columns, D]
///
/// Bicubic (Keys, a = -0.75), corners not aligned, no antialias; sample positions follow from the
/// factors (rows + 0.1) / S and (columns + 0.1) / S rather than from the ratio of sizes.
///
/// Source: reference `vision_transformer.py` (interpolate_pos_encoding).
torch::Tensor interpolate_pos_embed(const torch::Tensor& pos_embed, int64_t rows, int64_t columns,
                                    bool native);

}  // namespace ibot::nn
