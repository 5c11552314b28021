// GELU, the erf form.
#pragma once

#include <torch/types.h>

namespace ibot::kernels {

torch::Tensor gelu(const torch::Tensor& x);

/// gradient · gelu'(x), in the storage of `gradient`.
void gelu_backward_(torch::Tensor gradient, const torch::Tensor& x);

}  // namespace ibot::kernels
