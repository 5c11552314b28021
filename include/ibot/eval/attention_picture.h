// Pictures of what the heads of a network attend to.
#pragma once

#include <torch/types.h>

#include <array>
#include <cstdint>
#include <vector>

namespace ibot::eval {

using Color = std::array<uint8_t, 3>;

/// One color a head. Source: analysis/attention_map of the reference implementation.
const std::vector<Color>& head_colors();

/// The head with the largest attention at each patch, of equal ones the first; -1 where none has
/// any.
///
///   maps     [heads, h, w]
///   returns  [h, w] int64
torch::Tensor winning_head(const torch::Tensor& maps);

/// The image in pale gray under one color a head: each head keeps the patches that hold `share` of
/// its attention, each patch goes to the head that attends to it most, and shows, where that
/// exceeds a fifth of the head's range, the head's color, the stronger the more.
///
///   image      [3, h·p, w·p]   of any range
///   attention  [heads, h, w]   at most as many heads as colors, else Error
///   returns    [h·p, w·p, 3]   uint8, on the host
torch::Tensor attention_picture(const torch::Tensor& image, const torch::Tensor& attention,
                                double share, const std::vector<Color>& colors = head_colors());

/// An image brought to 0 to 255 by its own range.
///
///   image    [3, H, W]   of any range
///   returns  [H, W, 3]   uint8, on the host
///
/// Source: torchvision's `make_grid` with `scale_each` and `save_image`.
torch::Tensor in_own_range(const torch::Tensor& image);

/// Each value as a block of patch x patch pixels.
///
///   map      [..., h, w]
///   returns  [..., h·p, w·p]
torch::Tensor enlarged(const torch::Tensor& map, int64_t patch);

}  // namespace ibot::eval
