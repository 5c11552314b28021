// How blocks run within a training step.
#pragma once

#include <ATen/core/Generator.h>

#include <cstdint>
#include <optional>

namespace ibot::nn {

/// Which images of a step's whole batch a call sees: its image i is image first + i · stride of
/// `whole`. By default all.
struct BatchSlice {
  int64_t whole = 0;
  int64_t images = 0;
  int64_t first = 0;
  int64_t stride = 1;
};

///   generator   source of the draws of drop path and dropout; none: the default generator
///   slice       draws of drop path are those of the whole batch, so that they do not depend on how
///   it is shared
///               out among ranks and parts
///   recompute   forget the activations within a block and compute them again in the backward pass
///   dropout, attention_dropout
///               shares dropped of tokens with positions and of what attention and MLP give, and of
///               the weights of attention; drawn for the images at hand
struct BlockContext {
  std::optional<at::Generator> generator;
  BatchSlice slice;
  bool recompute = false;
  double dropout = 0.0;
  double attention_dropout = 0.0;
};

}  // namespace ibot::nn
