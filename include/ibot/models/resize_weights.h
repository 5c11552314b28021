// Weights learnt at one size for a model of another.
#pragma once

#include <torch/types.h>

#include <string>

namespace ibot::models {

/// `stored` brought to `wanted` where the name says how: position embeddings and relative position
/// bias tables; undefined where shapes differ otherwise.
///
///   ...pos_embed                     [1, 1 + S·S, D]        class position kept, grid resized
///   ...relative_position_bias_table  [(2w - 1)², heads]     a map of each head, resized
///
/// Bicubic (Keys, a = -0.75) by size, corners not aligned, no antialias; computed in float32 and
/// returned in the type of `stored`. Of equal shape: `stored` itself.
///
/// Source: reference `run_class_finetuning.py` (pos_embed) and `swin_transformer.py`
/// (init_weights: bias tables).
torch::Tensor resize_weight(const std::string& name, const torch::Tensor& stored,
                            at::IntArrayRef wanted);

}  // namespace ibot::models
