// Sampling of patch masks.
#pragma once

#include <torch/types.h>

#include "ibot/base/rng.h"
#include "ibot/mask/mask_options.h"

namespace ibot::mask {

/// Patches of an image: rows and columns.
struct PatchGrid {
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t size() const { return rows * columns; }
};

/// The fraction to mask in one view: one ratio is chosen, then drawn uniformly around by its
/// `ratio_var`; 0 before `start_epoch`.
double sample_ratio(const MaskOptions& options, int64_t epoch, Rng& rng);

/// Marks patches of one view.
///
///   ratio    target fraction; block masks stay at or below it, random ones hit floor(ratio * N)
///   returns  [N]   bool, row-major
///
/// Source: reference `loader.py` (ImageFolderMask); Bao et al. 2022 (BEiT) for the blocks.
torch::Tensor sample_mask(MaskShape shape, double ratio, PatchGrid grid, Rng& rng);

/// The mask of crop number `crop` of an image, local crops numbered after global ones; empty where
/// `options.views` excludes the crop.
///
/// Source: paper appendix B, pipelines (b), (c) and (d). The paper does not say which of the global
/// crops (d) masks: here the first.
torch::Tensor sample_crop_mask(const MaskOptions& options, int64_t epoch, int64_t crop,
                               PatchGrid grid, Rng& rng);

}  // namespace ibot::mask
