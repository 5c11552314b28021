#include "kernels/cuda/functions.h"

namespace ibot::kernels::cuda {

decltype(kernels::normalize)* const normalize = nullptr;
decltype(kernels::normalize_backward)* const normalize_backward = nullptr;
decltype(kernels::add_scaled_)* const add_scaled_ = nullptr;
decltype(kernels::add_scaled_backward)* const add_scaled_backward = nullptr;
decltype(kernels::centered_cross_entropy)* const centered_cross_entropy = nullptr;
decltype(kernels::centered_cross_entropy_backward)* const centered_cross_entropy_backward = nullptr;
decltype(kernels::align_regions)* const align_regions = nullptr;
decltype(kernels::align_regions_backward)* const align_regions_backward = nullptr;
decltype(kernels::remaining_boxes)* const remaining_boxes = nullptr;

}  // namespace ibot::kernels::cuda
