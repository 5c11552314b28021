// Images with cells moved about or blanked, and which patches a network attends to.
#pragma once

#include <torch/types.h>

#include <vector>

#include "ibot/mask/patch_mask.h"

namespace ibot::eval {

/// Cuts each image into grid.rows x grid.columns equal cells and puts cell order[k] of the input in
/// place k of the output, both row by row.
///
///   images   [B, C, H, W]          H and W multiples of the grid, else Error
///   order    [P] or [B, P] int64   a permutation for all images, or one each
///
/// Source: Naseer et al. 2021, sec. 3.3; analysis/occlusion of the reference implementation.
torch::Tensor shuffled_cells(const torch::Tensor& images, mask::PatchGrid grid,
                             const torch::Tensor& order);

/// Sets cells to 0; of normalized images that is the mean color. A pixel belongs to the cell that
/// its center lies in where the grid does not divide the image.
///
///   images   [B, C, H, W]
///   blank    [P] or [B, P] bool   cells of all images, or of each
torch::Tensor blanked_cells(const torch::Tensor& images, mask::PatchGrid grid,
                            const torch::Tensor& blank);

/// How many of `cells` a tenth of them after the other are: 0, cells / 10, ... 9 cells / 10, each
/// rounded down.
std::vector<int64_t> tenths_of(int64_t cells);

/// Marks the patches with the most attention that together hold `share` of its sum: in ascending
/// order those whose cumulative share exceeds 1 - share.
///
///   attention  [..., N]
///   returns    [..., N] bool
torch::Tensor most_attended(const torch::Tensor& attention, double share);

}  // namespace ibot::eval
