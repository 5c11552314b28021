// Nearest rows by cosine.
#pragma once

#include <torch/types.h>

#include <cstdint>

namespace ibot::eval {

///   index       [Q, k]   int64, nearest first; of equally near rows the earlier goes first
///   similarity  [Q, k]   float32
struct Neighbors {
  torch::Tensor index;
  torch::Tensor similarity;
};

/// The k rows most similar to each query, after scaling all of them to length 1.
///
///   queries  [Q, F]   float32
///   rows     [S, F]   float32, S >= k; on any device: a block of them at a time goes where the
///                     queries are
///
/// Needs memory for the queries, a block of rows and the result, not for Q x S similarities or a
/// second copy of the rows.
Neighbors nearest_rows(const torch::Tensor& queries, const torch::Tensor& rows, int64_t k);

}  // namespace ibot::eval
