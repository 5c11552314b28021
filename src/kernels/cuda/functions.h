// Own code for a GPU; null in a build without CUDA.
#pragma once

#include "ibot/kernels/cross_entropy.h"
#include "ibot/kernels/layer_norm.h"
#include "ibot/kernels/regions.h"
#include "ibot/kernels/residual.h"

namespace ibot::kernels::cuda {

extern decltype(kernels::normalize)* const normalize;
extern decltype(kernels::normalize_backward)* const normalize_backward;
extern decltype(kernels::add_scaled_)* const add_scaled_;
extern decltype(kernels::add_scaled_backward)* const add_scaled_backward;
extern decltype(kernels::centered_cross_entropy)* const centered_cross_entropy;
extern decltype(kernels::centered_cross_entropy_backward)* const centered_cross_entropy_backward;
extern decltype(kernels::align_regions)* const align_regions;
extern decltype(kernels::align_regions_backward)* const align_regions_backward;
extern decltype(kernels::remaining_boxes)* const remaining_boxes;

}  // namespace ibot::kernels::cuda
