// Many small pictures on one sheet.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "ibot/batch/multi_crop_batch.h"

namespace ibot::report {

/// The whole factor by which to enlarge pictures of `side` pixels so that they are easily seen:
/// about 160 pixels, never smaller than they are.
int64_t shown_scale(int64_t side);

/// The crops of a batch as the networks see them, a row per image: its global crops, masked patches
/// faded, then its local crops, all enlarged by the `shown_scale` of global crops.
///
///   batch    crops uint8, before normalization
///   returns  [H, W, 3]   uint8
torch::Tensor crop_sheet(const batch::MultiCropBatch& batch);

/// Pictures in rows, with a margin between them.
///
///   rows     of tiles [h, w, 3], uint8, of any sizes
///   returns  [H, W, 3]   uint8; rows as high as their highest tile
torch::Tensor tiled(const std::vector<std::vector<torch::Tensor>>& rows);

/// The images of `queries`, each followed by its nearest others by the cosine of their features. A
/// frame says whether the class is that of the query.
///
///   tiles     [S, 3, h, w]   uint8
///   features  [S, F]
///   labels    [S]            int64; undefined: no frames
///   returns   [H, W, 3]      uint8
torch::Tensor neighbor_sheet(const torch::Tensor& tiles, const torch::Tensor& features,
                             const torch::Tensor& labels, const std::vector<int64_t>& queries,
                             int64_t neighbors);

}  // namespace ibot::report
