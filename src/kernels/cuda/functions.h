// Own code for a GPU; null in a build without CUDA.
#pragma once

#include "ibot/kernels/layer_norm.h"
#include "ibot/kernels/residual.h"

namespace ibot::kernels::cuda {

extern decltype(kernels::normalize)* const normalize;
extern decltype(kernels::normalize_backward)* const normalize_backward;
extern decltype(kernels::add_scaled_)* const add_scaled_;
extern decltype(kernels::add_scaled_backward)* const add_scaled_backward;

}  // namespace ibot::kernels::cuda
