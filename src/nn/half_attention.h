// Attention in half precision on a CPU.
#pragma once

#include <torch/types.h>

namespace ibot::nn {

/// softmax(query · keyᵀ / √d) · value by batched products, a few images at a time. Scores are
/// rounded to half precision before the softmax, as under autocast where nothing is fused; they
/// are computed again in the backward pass, which keeps the inputs alone.
///
///   query, key, value  [B, heads, T, d]  of one type in half precision, on a CPU
///   returns            [B, heads, T, d]  in the memory order of [B, T, heads, d]
///
/// LibTorch's fused kernel multiplies small blocks, slowly in half precision: for 20 images of 37
/// tokens its backward pass takes eight times as long.
torch::Tensor attend_by_products(const torch::Tensor& query, const torch::Tensor& key,
                                 const torch::Tensor& value);

}  // namespace ibot::nn
