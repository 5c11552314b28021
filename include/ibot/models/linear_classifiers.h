// Linear classifiers on frozen features, from files: the official sweep and ours.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "ibot/io/torch_value.h"

namespace ibot::models {

/// Those of one file, on the same features of width F.
///
///   weight   [H, C, F]   float32
///   bias     [H, C]      float32
struct LinearClassifiers {
  std::string source;  // the file, for messages
  torch::Tensor weight;
  torch::Tensor bias;
  int64_t best = -1;                // the classifier that the file calls best; -1: it does not say
  std::optional<double> best_top1;  // in percent, when it was
  std::optional<int64_t> epoch;     // epochs trained
};

/// The classifiers of a .pth at hand: `{head}.module.linear.{weight,bias}` of a sweep,
/// `module.linear.*` of a single one, or `linear.*` beside a backbone, below `state_dict` or bare;
/// none where it has no such tensors. Throws CheckpointError where they do not fit together.
///
/// Source: the reference's eval_linear.py, eval_linear_multi.py and combine_ckpt.py.
std::optional<LinearClassifiers> classifiers_of(const io::Value& root, const std::string& source);

/// The same of a file, of ibot-eval's linear.safetensors too. Throws CheckpointError where the file
/// is refused.
std::optional<LinearClassifiers> read_classifiers(const std::filesystem::path& path);

}  // namespace ibot::models
