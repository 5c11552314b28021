// Weights from files: ours, the official .pth files, and those of timm, DINO and DINOv2.
#pragma once

#include <torch/nn/module.h>

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ibot/io/torch_value.h"
#include "ibot/models/backbone_options.h"
#include "ibot/models/head_options.h"

namespace ibot::models {

/// One network of a file, with this framework's names: `backbone.…` and `head.…`.
struct Weights {
  std::string source;  // the file, for messages
  std::string format;  // "safetensors", "pth (zip)" or "pth (legacy)"
  std::string key;     // the part of the file that was read; empty if it has no parts
  std::map<std::string, torch::Tensor> tensors;
  std::vector<std::string> others;               // tensors outside backbone and projection head
  std::string config;                            // of the run that wrote the file, as YAML
  std::map<std::string, std::string> arguments;  // of the official program, as YAML values
};

/// Reads the network `key` ("teacher" or "student") of a file that holds both, otherwise the only
/// network: a .pth may keep it under `state_dict`, `model` or `module`. Any other `key` names a
/// dict of a .pth, or a prefix of tensor names. Prefixes of wrappers (`module.`, `backbone.`,
/// `encoder.`) are removed, and names and layouts of timm and DINOv2 become ours (`ls1.gamma`,
/// `mask_token`, parametrized weight norm, chunks of blocks, Swin's downsampling in the next stage,
/// `reg_token`, position embeddings without class position). A `.json` is read as the index of
/// weight shards next to it.
///
/// Throws CheckpointError if the file is refused, lacks the network, or holds no tensor of a
/// backbone or a head, listing the available keys.
Weights read_weights(const std::filesystem::path& path, const std::string& key = "teacher");

/// Whether read_weights() treats the file as an index of shards.
bool is_shard_index(const std::filesystem::path& path);

/// The same for a .pth in memory.
Weights weights_of(const io::Value& root, const std::string& source, const std::string& key);

/// Infers backbone options from tensor shapes. Shapes do not reveal the number of heads: `heads` if
/// above 0, otherwise that of the preset in the official arguments, otherwise width / 64.
///
/// Throws CheckpointError if shapes are inconsistent or the heads cannot be determined.
BackboneOptions infer_backbone(const Weights& weights, int64_t heads = 0);

/// Infers head options from tensor shapes. Prototypes are shared if one tensor is stored under both
/// names or there is only one. Throws CheckpointError if there is no head.
HeadOptions infer_head(const Weights& weights);

/// Names of tensors that the file's own backbone, and its head if it has one, should have but lacks
/// or has in another shape; the mask token is not counted. Throws as infer_backbone.
std::vector<std::string> missing_tensors(const Weights& weights);

/// Converts a backbone's tensors, named without `backbone.`, to the names and layout of timm 0.9
/// and later, which has no mask token and computes derived tensors itself.
std::map<std::string, torch::Tensor> timm_tensors(std::map<std::string, torch::Tensor> tensors);

/// Whether a tensor of that name is computed from the options, neither learned nor loaded.
bool is_derived(std::string_view name);

/// Result of loading, by tensor name.
struct LoadReport {
  std::vector<std::string> loaded;   // including the resized ones
  std::vector<std::string> resized;  // position embeddings and bias tables
  std::vector<std::string> missing;  // only in the module: unchanged
  std::vector<std::string> unused;   // only in the file
};

/// Loads parameters and buffers of `module`, whose names are prefixed by `prefix` in the weights:
/// "" for a Network, "backbone." for a Backbone.
///
/// A mask token of another shape, which belongs to another method's decoder, is left unused.
///
/// Throws CheckpointError, before anything is changed, if no name matches, a shape differs and
/// cannot be resized, a backbone tensor other than the mask token is missing, or the file has
/// backbone layers that the module lacks.
LoadReport load_weights_(torch::nn::Module& module, const Weights& weights,
                         const std::string& prefix = "");

/// "152 tensors loaded, 1 resized (backbone.pos_embed); missing: …; unused: …", on one line.
std::string summary(const LoadReport& report);

}  // namespace ibot::models
