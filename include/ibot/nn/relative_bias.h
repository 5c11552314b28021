// Learnt biases of attention by the offset between patches.
#pragma once

#include <torch/types.h>

#include <cstdint>

namespace ibot::nn {

/// Rows of a table behind those of the offsets between patches: class token to patch, patch to
/// class token, class token to itself.
constexpr int64_t kClassOffsets = 3;

/// Row of the table for each pair of a class token and side x side patches.
///
///   returns  [1 + N, 1 + N]   int64, N = side·side; rows of the table are (2 side - 1)² offsets,
///                             as relative_position_index has them, and kClassOffsets
///
/// Source: Bao et al. 2022 (BEiT); the reference's `modeling_finetune.py` (Attention).
torch::Tensor class_position_index(int64_t side);

/// The map of offsets of each head at another size, bicubic by size, corners not aligned; other
/// rows stay.
///
///   table    [S·S + others, heads]
///   side     of the new map
///   returns  [side·side + others, heads]
torch::Tensor resize_bias_table(const torch::Tensor& table, int64_t side, int64_t others);

}  // namespace ibot::nn
