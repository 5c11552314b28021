// Networks trained for detection or segmentation, as files.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "ibot/io/torch_value.h"

namespace ibot::models {

/// All tensors of a network by the names of mmdetection or mmsegmentation: `backbone.…`, and
/// `neck.…`, `rpn_head.…`, `roi_head.…` or `decode_head.…`, `auxiliary_head.…`.
///
///   config  of the run that wrote the file, as YAML; empty: another program's file
struct TaskWeights {
  std::string source;
  std::map<std::string, torch::Tensor> tensors;
  std::string config;
};

/// The network of a safetensors file, of a checkpoint of its training, or of a .pth, which may keep
/// it under `state_dict`; `module.` is removed. None where the file has no head of a task. Throws
/// CheckpointError where it is damaged.
std::optional<TaskWeights> read_task_weights(const std::filesystem::path& path);

/// Writes a safetensors file or, for a name ending in .pth, what mmcv's load_checkpoint reads.
void write_task_weights(const std::filesystem::path& path, const TaskWeights& weights);

/// Copies all values into `own`, by name. Tensors that are computed from options, and counts of
/// batches, may be missing or left over. Throws CheckpointError, naming all that differs, before
/// anything is changed.
void load_task_weights_(const std::map<std::string, torch::Tensor>& own,
                        const TaskWeights& weights);

}  // namespace ibot::models
