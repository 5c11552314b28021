// Weights from files: ours, the official .pth, and those of timm, DINO and DINOv2.
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

/// One network of a file, under this framework's names: `backbone.…` and `head.…`.
struct Weights {
  std::string source;  // the file, for messages
  std::string format;  // "safetensors", "pth (zip)" or "pth (legacy)"
  std::string key;     // the part of the file that was read; empty where it has no parts
  std::map<std::string, torch::Tensor> tensors;
  std::vector<std::string> others;               // tensors of no backbone and no projection head
  std::string config;                            // of the run that wrote the file, as YAML
  std::map<std::string, std::string> arguments;  // of the official program, as YAML values
};

/// Reads the network `key` ("teacher" or "student") of a file that holds both, else the one network
/// there is: a .pth may keep it under `state_dict`, `model` or `module`. Any other `key` names a
/// dict of a .pth, or what the names of its tensors begin with. Prefixes of wrappers (`module.`,
/// `backbone.`, `encoder.`) and the names of timm and DINOv2 (`ls1.gamma`, `mask_token`,
/// parametrised weight norm, chunks of blocks, downsampling of Swin in the next stage, `reg_token`
/// and positions of patches alone) become ours. A `.json` is read as the index of shards that lie
/// beside it.
///
/// Throws CheckpointError where the file is refused, lacks the network, or holds no tensor that
/// belongs to a backbone or a head, with the keys at hand.
Weights read_weights(const std::filesystem::path& path, const std::string& key = "teacher");

/// Whether read_weights takes the file for an index of shards.
bool is_shard_index(const std::filesystem::path& path);

/// The same of a .pth at hand.
Weights weights_of(const io::Value& root, const std::string& source, const std::string& key);

/// The options of the backbone that the shapes tell of. Heads leave no trace in a shape: `heads`
/// where above 0, else those of the official arguments' preset, else width / 64.
///
/// Throws CheckpointError where shapes do not fit together or the heads cannot be told.
BackboneOptions infer_backbone(const Weights& weights, int64_t heads = 0);

/// The options of the projection head that the shapes tell of. Its layers are shared where one
/// tensor lies under both names or there is only one. Throws CheckpointError where there is none.
HeadOptions infer_head(const Weights& weights);

/// Names of the tensors that the file's own backbone, and its head where it has one, should have
/// and lacks, or has in another shape; the mask token is no part of them. Throws as infer_backbone.
std::vector<std::string> missing_tensors(const Weights& weights);

/// A backbone's tensors, by names without `backbone.`, with the names and the layout of timm 0.9
/// and later, which has no mask token and computes what is derived.
std::map<std::string, torch::Tensor> timm_tensors(std::map<std::string, torch::Tensor> tensors);

/// Whether a tensor of that name is computed from the options and neither learnt nor loaded.
bool is_derived(std::string_view name);

/// What became of the tensors, by name.
struct LoadReport {
  std::vector<std::string> loaded;   // the resized ones among them
  std::vector<std::string> resized;  // position embeddings and bias tables of another size
  std::vector<std::string> missing;  // in the module alone: left as they were
  std::vector<std::string> unused;   // in the file alone
};

/// Fills the parameters and buffers of `module`, whose names with `prefix` before them are those of
/// the weights: "" for a Network, "backbone." for a Backbone.
///
/// A mask token of another shape, that of another method's decoder, is unused.
///
/// Throws CheckpointError before anything is changed: where no name fits, a shape differs and
/// cannot be resized, a backbone's tensor other than the mask token is missing, or one of its
/// layers in the file is none of the module's.
LoadReport load_weights_(torch::nn::Module& module, const Weights& weights,
                         const std::string& prefix = "");

/// "152 tensors loaded, 1 resized (backbone.pos_embed); missing: …; unused: …", on one line.
std::string summary(const LoadReport& report);

}  // namespace ibot::models
