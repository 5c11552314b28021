// What layers with a backward pass of their own share.
#pragma once

#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <optional>
#include <vector>

#include "ibot/kernels/layer_norm.h"

namespace ibot::nn {

/// A linear layer's parameters.
struct Affine {
  torch::Tensor weight;
  std::optional<torch::Tensor> bias;
};

/// The parameters in the precision in force, cast outside of a node: autocast keeps one cast copy a
/// step, and its gradients add up there. An undefined bias is none.
Affine in_force(const torch::Tensor& weight, const torch::Tensor& bias);

/// Some of the rows of a layer's input, which pass together.
struct Chunk {
  int64_t first = 0;
  int64_t count = 0;

  /// The chunk's part of `rows`; undefined where `rows` is.
  torch::Tensor of(const torch::Tensor& rows) const {
    return rows.defined() ? rows.narrow(0, first, count) : rows;
  }
};

/// Chunks of `rows`, one at least. On a CPU what is wide and short-lived then stays in the cache;
/// elsewhere one chunk has all.
std::vector<Chunk> chunks_of(const torch::Tensor& rows);

/// linear(input) written into `output`, all [R, ...].
void linear_out_(torch::Tensor output, const torch::Tensor& input, const Affine& layer);

/// Σ aᵀ · b over chunks, in float32 where each product is rounded to half precision.
class ProductSum {
 public:
  void add(const torch::Tensor& a, const torch::Tensor& b);
  const torch::Tensor& value() const { return sum_; }

 private:
  torch::Tensor sum_;
};

/// Σ over rows, in float32 where they are in half precision: sums of chunks are added.
torch::Tensor column_sums(const torch::Tensor& rows);

/// sum + part, where there is a sum already.
void accumulate_(torch::Tensor& sum, const torch::Tensor& part);

using kernels::NormParameters;

/// What a LayerNorm's backward pass is computed from.
///
///   rows        [R, D]  its input; where the products are in half precision and the input is not,
///                       the normalized rows before their affine map, in half precision
///   normalized  which of the two
///   mean, rstd  [R, 1]  of the input
struct NormKept {
  torch::Tensor rows;
  torch::Tensor mean;
  torch::Tensor rstd;
  bool normalized = false;

  NormKept of(const Chunk& chunk) const {
    return {chunk.of(rows), chunk.of(mean), chunk.of(rstd), normalized};
  }
};

/// Room for what `normalize` keeps of `rows`, to be filled chunk by chunk. Taken before the chunks
/// are computed: what stays would otherwise lie above what does not and keep its memory from the
/// layers that follow.
NormKept room_for_norm(const torch::Tensor& rows, const NormParameters& norm,
                       torch::ScalarType dtype);

/// norm(rows) in `dtype`, [R, D]; into `kept`, room for these rows, what its backward pass needs.
torch::Tensor normed_rows(const torch::Tensor& rows, const NormParameters& norm,
                          torch::ScalarType dtype, const NormKept* kept);

/// Where rows of a map lie in its windows, and back; undefined: they stay. Rows of `images` maps,
/// one after the other.
struct RowOrder {
  torch::Tensor to_windows, to_map;

  torch::Tensor in_windows(const torch::Tensor& rows, int64_t images) const;
  torch::Tensor in_map(const torch::Tensor& rows, int64_t images) const;
};

/// Backward pass of weight · in_windows(norm(rows)) + bias, chunk by chunk; its sums are the
/// gradients of the parameters.
class NormLinearBackward {
 public:
  NormLinearBackward(NormParameters norm, torch::Tensor weight, RowOrder order)
      : norm_(std::move(norm)), weight_(std::move(weight)), order_(std::move(order)) {}

  /// Of a chunk. Writes the gradient of its rows plus `above`, where that is defined, into
  /// `of_rows`, where it is wanted.
  void add(const torch::Tensor& gradient, const NormKept& kept, const torch::Tensor& above,
           const torch::Tensor& of_rows);

  const torch::Tensor& weight() const { return products_.value(); }
  const torch::Tensor& bias() const { return bias_; }
  const torch::Tensor& scale() const { return scale_; }
  const torch::Tensor& shift() const { return shift_; }

 private:
  NormParameters norm_;
  torch::Tensor weight_;
  RowOrder order_;
  ProductSum products_;
  torch::Tensor bias_, scale_, shift_;
};

/// Throws Error where a gradient of the gradient would be recorded, which would be wrong.
void refuse_second_derivatives();

}  // namespace ibot::nn
