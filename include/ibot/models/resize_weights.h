// Resizing of weights for a model of another image or window size.
#pragma once

#include <torch/types.h>

#include <string>

namespace ibot::models {

/// `stored` resized to `wanted` if the name says how: position embeddings and relative position
/// bias tables; undefined if shapes differ in another way.
///
///   ...pos_embed                     [1, 1 + S·S, D]        class position kept, grid resized
///   ...relative_position_bias_table  [(2w - 1)², heads]     one map per head, resized
///
/// Bicubic (Keys, a = -0.75) to an output size, align_corners false, no antialiasing; computed in
/// float32 and returned in the dtype of `stored`. For equal shapes: `stored` itself.
///
/// Source: reference `run_class_finetuning.py` (pos_embed) and `swin_transformer.py`
/// (init_weights: bias tables).
torch::Tensor resize_weight(const std::string& name, const torch::Tensor& stored,
                            at::IntArrayRef wanted);

}  // namespace ibot::models
