// Linear classifiers on frozen features, read from files of the official programs and ours.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "ibot/io/torch_value.h"

namespace ibot::models {

/// The H classifiers of one file, on the same features of width F.
///
///   weight   [H, C, F]   float32
///   bias     [H, C]      float32
struct LinearClassifiers {
  std::string source;  // the file, for messages
  torch::Tensor weight;
  torch::Tensor bias;
  int64_t best = -1;                // index that the file marks as best; -1: none
  std::optional<double> best_top1;  // its accuracy in percent
  std::optional<int64_t> epoch;     // epochs trained
};

/// The classifiers of a .pth in memory: `{head}.module.linear.{weight,bias}` of a sweep,
/// `module.linear.*` of a single one, or `linear.*` next to a backbone, under `state_dict` or at
/// the top; nullopt if there are no such tensors. Throws CheckpointError if they are inconsistent.
///
/// Source: the reference's eval_linear.py, eval_linear_multi.py and combine_ckpt.py.
std::optional<LinearClassifiers> classifiers_of(const io::Value& root, const std::string& source);

/// The same for a file, including ibot-eval's linear.safetensors. Throws CheckpointError if the
/// file is refused.
std::optional<LinearClassifiers> read_classifiers(const std::filesystem::path& path);

}  // namespace ibot::models
