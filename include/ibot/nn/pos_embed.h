// Position embeddings for images of any size.
#pragma once

#include <torch/types.h>

#include <cstdint>

namespace ibot::nn {

/// Rows and columns of patches.
struct PositionGrid {
  int64_t rows = 0;
  int64_t columns = 0;
};

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

/// The same from embeddings of any grid, [1, 1 + stored.rows·stored.columns, D], where it is not
/// the native one: each direction has its factor.
///
/// Source: reference `evaluation/object_detection/mmdet/models/backbones/vit.py`.
torch::Tensor interpolate_pos_embed(const torch::Tensor& pos_embed, const PositionGrid& stored,
                                    const PositionGrid& wanted);

/// Position embeddings as they are resized when weights are loaded: bicubic as above, but sample
/// positions follow from the sizes.
torch::Tensor resize_pos_embed(const torch::Tensor& pos_embed, const PositionGrid& stored,
                               const PositionGrid& wanted);

}  // namespace ibot::nn
