// The KoLeo term: class tokens of a batch spread over the sphere.
#pragma once

#include <torch/types.h>

namespace ibot::loss {

/// Kozachenko-Leonenko estimate of the negative entropy of the tokens of each view, up to
/// constants, summed over views: tokens that crowd together cost more. Each token is compared with
/// the nearest other one of its view among the images of this rank and micro-batch.
///
///   tokens   [V·B, D]   class tokens before the head, crop-major; B at least 2, else ConfigError
///   returns  scalar     -Σ_v mean_b ln(‖x_vb - x_vn(b)‖ + ε), x normalized, n(b) the nearest of b
///
/// Source: Sablayrolles et al. 2019, eq. 2; DINOv2 `koleo_loss.py`, whose sum over views it keeps.
torch::Tensor koleo_loss(const torch::Tensor& tokens, int64_t views);

}  // namespace ibot::loss
