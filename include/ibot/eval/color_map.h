// Numbers as colors.
#pragma once

#include <torch/types.h>

namespace ibot::eval {

enum class ColorMap { kViridis, kInferno };

/// The smallest value of a map in the first color, the largest in the last; one without a range
/// all in the first.
///
///   map      [H, W]
///   returns  [H, W, 3]   uint8, on the host
///
/// Source: matplotlib's `imsave`, equal to the byte.
torch::Tensor colored(const torch::Tensor& map, ColorMap colors);

}  // namespace ibot::eval
