// Features of regions of interest, and masks of regions.
#pragma once

#include <torch/types.h>

#include <array>
#include <cstdint>
#include <vector>

#include "ibot/kernels/regions.h"

namespace ibot::boxes {

using RoiAlignOptions = kernels::RegionOptions;

/// Averages of bilinear samples within each bin of each region, corners at half cells ("aligned").
/// Samples more than a cell outside of the map count as 0, others are moved onto it; an empty
/// region gives 0 or the value of one sample. No gradient reaches the regions.
///
///   features  [B, C, H, W]             float32
///   regions   [R, 5]                   image, x1, y1, x2, y2 in pixels
///   returns   [R, C, output height, output width]
///
/// On a GPU by own code where ibot was built with CUDA; otherwise on the CPU, on several threads:
/// features elsewhere are moved there, and the result back. Throws Error for another type.
/// Source: He et al. 2017; mmcv 1.3, RoIAlign with aligned = true.
torch::Tensor roi_align(const torch::Tensor& features, const torch::Tensor& regions,
                        const RoiAlignOptions& options);

/// The level of a pyramid of strides 4, 8, 16, 32 that a region takes its features from:
/// floor(log2(√(w h) / 56 + 1e-6)), from 0 to `levels` - 1 (Lin et al. 2017, equation 1). [R]
/// int64.
torch::Tensor level_of(const torch::Tensor& regions, int64_t levels);

/// roi_align of every region on its level. `features` are those of the levels, the first one of
/// stride `first_stride`, each next one of twice the stride before.
torch::Tensor pyramid_features(const std::vector<torch::Tensor>& features,
                               const torch::Tensor& regions, int64_t first_stride,
                               std::array<int64_t, 2> output);

/// What the mask head is to predict for each proposal: the mask of its object within the proposal,
/// 1 from half covered on.
///
///   masks      [M, H, W]  0 or 1
///   proposals  [R, 4]     clipped to the masks
///   truth      [R]        int64, whose mask
///   returns    [R, side, side]  uint8
torch::Tensor mask_targets(const torch::Tensor& masks, const torch::Tensor& proposals,
                           const torch::Tensor& truth, int64_t side);

/// Probabilities of small masks at the pixels of the image, 0 outside of their boxes.
///
///   probabilities  [N, h, w]
///   boxes          [N, 4]
///   returns        [N, height, width]; a mask is where it is 0.5 or more
torch::Tensor paste(const torch::Tensor& probabilities, const torch::Tensor& boxes, int64_t height,
                    int64_t width);

}  // namespace ibot::boxes
