// Dropout.
#pragma once

#include <torch/types.h>

#include <vector>

#include "ibot/nn/block_context.h"

namespace ibot::nn {

/// A draw of which values stay; they are scaled up so that the mean does not change. By default all
/// stay.
///
///   kept   bool, of the values' shape; undefined: all
///   share  probability of staying
struct DropoutMask {
  torch::Tensor kept = {};
  double share = 1.0;

  /// values · kept / share
  torch::Tensor of(const torch::Tensor& values) const;
};

/// Drops each of the values of a tensor of these sizes with probability `rate`.
///
/// Source: Srivastava et al. 2014.
DropoutMask draw_dropout(at::IntArrayRef sizes, double rate, const BlockContext& context,
                         torch::Device device);

/// Tokens on their way into the first block, dropped while training.
torch::Tensor drop_tokens(const torch::Tensor& tokens, const BlockContext& context, bool training);

/// Of one block.
struct BlockDropout {
  DropoutMask weights;   // of attention after softmax
  DropoutMask attended;  // what attention gives
  DropoutMask hidden;    // of the MLP after its activation
  DropoutMask output;    // what the MLP gives
};

/// What is random in a training block: what drop_path_scale multiplies both of its branches with,
/// and dropout.
struct BlockDraws {
  torch::Tensor attention;
  torch::Tensor mlp;
  BlockDropout dropout;
};

/// What draw_block draws for.
struct BlockSizes {
  int64_t samples = 0;
  std::vector<int64_t> weights;  // of attention
  std::vector<int64_t> tokens;   // [..., D]
  int64_t hidden_dim = 0;
};

/// The draws of a block of this rate of drop path, made before it runs; of dropout all stay where
/// the context's rates are 0.
BlockDraws draw_block(const BlockSizes& sizes, double drop_path, const BlockContext& context,
                      torch::Device device);

}  // namespace ibot::nn
