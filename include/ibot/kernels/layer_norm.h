// Layer norm of float32 rows that matrix products take in half precision.
#pragma once

#include <torch/types.h>

namespace ibot::kernels {

/// A LayerNorm's parameters, float32 [D].
struct NormParameters {
  torch::Tensor scale;
  torch::Tensor shift;
  double eps = 0.0;
};

/// Where what the backward pass needs is written; undefined: it is not wanted.
///
///   normalized  [R, D]  before scale and shift, in the type of the products
///   mean, rstd  [R, 1]  float32
struct NormRoom {
  torch::Tensor normalized;
  torch::Tensor mean;
  torch::Tensor rstd;
};

/// scale · (rows - mean) / √(variance + eps) + shift in `dtype`, computed in float32.
///
///   rows     [R, D]
///   returns  [R, D]
torch::Tensor normalize(const torch::Tensor& rows, const NormParameters& norm,
                        torch::ScalarType dtype, const NormRoom& room);

/// What the backward pass takes: `normalized` and `rstd` as kept.
///
///   gradient  [R, D]  of what normalize returned, in its type
///   above     [R, D]  added to the gradient of the rows; undefined: nothing
///   of_rows   [R, D]  float32, where the gradient of the rows is written; undefined: it is not
///                     wanted
struct NormBackward {
  torch::Tensor gradient;
  torch::Tensor normalized;
  torch::Tensor rstd;
  torch::Tensor above;
  torch::Tensor of_rows;
};

///   scale, shift  [D]     float32
///   output        [R, D]  what normalize returned but for the rounding of what was kept
struct NormGradients {
  torch::Tensor scale;
  torch::Tensor shift;
  torch::Tensor output;
};

NormGradients normalize_backward(const NormBackward& backward, const NormParameters& norm);

}  // namespace ibot::kernels
