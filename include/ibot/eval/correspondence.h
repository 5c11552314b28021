// Which patch of one view is which of another, by place and by features.
#pragma once

#include <torch/types.h>

#include "ibot/mask/patch_mask.h"

namespace ibot::eval {

/// Centers of the patches of views, as shares of the image that the views were cut from.
///
///   corners  [B, 4]      float64: top, left, bottom, right; left and right exchanged where
///   mirrored returns  [B, N, 2]   float64: row, column
torch::Tensor patch_centers(const torch::Tensor& corners, mask::PatchGrid grid);

/// Marks the patches of the first view that lie within the second: their center is less than `half`
/// outside the outermost centers of the other, in both directions.
///
///   centers1  [B, N, 2]
///   centers2  [B, M, 2]
///   returns   [B, N] bool
torch::Tensor overlapping(const torch::Tensor& centers1, const torch::Tensor& centers2,
                          double half);

/// The patch of the second view whose center is nearest: [B, N, 2], [B, M, 2] → [B, N] int64.
torch::Tensor nearest_patch(const torch::Tensor& centers1, const torch::Tensor& centers2);

/// The patch of the second view with the largest dot product: [B, N, D], [B, M, D] → [B, N] int64.
torch::Tensor matched_patch(const torch::Tensor& tokens1, const torch::Tensor& tokens2);

/// Of the patches marked in `overlap`, those whose match is within `radius` rows and columns of the
/// true one.
///
///   match, truth, overlap  [B, N]
///   returns                [B, N] bool
torch::Tensor right_matches(const torch::Tensor& match, const torch::Tensor& truth,
                            const torch::Tensor& overlap, int64_t radius, int64_t columns);

/// The `count` patches with the most attention, heads averaged, the most attended first. The
/// attention may be that of another, finer grid, of which every so many rows and columns count.
///
///   attention  [B, heads, h, w]
///   overlap    [B, N]   bool, patches that may be chosen before any other; undefined: all
///   returns    [B, count]   int64
torch::Tensor most_attended_patches(const torch::Tensor& attention, mask::PatchGrid grid,
                                    const torch::Tensor& overlap, int64_t count);

/// A pixel: column and row.
struct Point {
  int64_t x = 0;
  int64_t y = 0;
};

/// Draws a red line one pixel wide, both ends included; what lies outside the picture is left out.
///
///   picture  [H, W, 3] uint8
///
/// Source: Pillow's `ImageDraw.line`, equal to the pixel.
void draw_line_(const torch::Tensor& picture, Point from, Point to);

}  // namespace ibot::eval
