#include "kernels/cuda/functions.h"

namespace ibot::kernels::cuda {

decltype(kernels::normalize)* const normalize = nullptr;
decltype(kernels::normalize_backward)* const normalize_backward = nullptr;
decltype(kernels::add_scaled_)* const add_scaled_ = nullptr;
decltype(kernels::add_scaled_backward)* const add_scaled_backward = nullptr;

}  // namespace ibot::kernels::cuda
