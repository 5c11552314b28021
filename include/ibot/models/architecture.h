// The table of architectures: everything the rest of the code knows about each kind of backbone.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ibot/models/backbone.h"

namespace ibot::models {

struct Weights;

/// A value of `options.arch`, with the paper's choices for it other than its shape.
struct Preset {
  std::string name;
  /// Number of last blocks whose class tokens linear probing reads; 0: class token and mean patch
  /// token of the last block. Source: paper appendix C; the reference's run.sh.
  int64_t probed_blocks = 0;
  /// Stochastic depth hard-coded in the reference's constructor, where its trainer ignores
  /// --drop_path.
  std::optional<double> fixed_drop_path;
};

/// A parameter that belongs to no linear layer, convolution or norm, identified by the last
/// component of its name, which is the same in every architecture that has it.
struct OwnParameter {
  std::string_view name;
  double initial_std = 0.02;
  /// A learned token or position, which fine-tuning may exempt from weight decay.
  bool is_token = false;
  /// Learned biases of attention, likewise.
  bool is_bias_table = false;
  /// Resizes a stored value to the wanted shape; undefined if they differ in more than size.
  torch::Tensor (*resized)(const torch::Tensor& stored, at::IntArrayRef wanted) = nullptr;
  /// Why a stored value does not fit; empty if unknown.
  std::string (*problem)(const torch::Tensor& stored) = nullptr;
};

/// The forward pass of one module in TorchScript.
struct ScriptedForward {
  std::string module;  // dotted name below the backbone; empty: the backbone itself
  std::string source;
};

/// One row of the table. Names are those of the backbone's own module, without `backbone.`.
///
/// Functions of options require `arch` to be one of the presets, and throw OptionError on values
/// that this architecture does not support.
struct Architecture {
  /// The first one names shapes that match no preset.
  std::vector<Preset> presets;
  /// Small backbones of this architecture, for the contract test.
  std::vector<BackboneOptions> samples;

  /// Keys of BackboneOptions that mean something to this architecture alone: the others keep their
  /// defaults.
  std::vector<std::string_view> own_keys;
  /// Whether its stages see ever larger patches, so that they give feature maps of several scales.
  bool hierarchical = false;

  std::shared_ptr<Backbone> (*build)(const BackboneOptions& options, Role role);
  /// Width of the output tokens.
  int64_t (*output_width)(const BackboneOptions& options);
  /// Side of the image area of one output token, in pixels.
  int64_t (*token_pixels)(const BackboneOptions& options);
  /// Number of blocks, over all stages.
  int64_t (*blocks)(const BackboneOptions& options);
  /// FLOPs of the forward pass for one image, as train::backbone_flops.
  double (*flops)(const BackboneOptions& options, int64_t image_size);
  /// The shape in words: "width 384, depth 12, heads 6".
  std::string (*described)(const BackboneOptions& options);
  /// Depth of a parameter: 0 in the embedding, b + 1 in block b, nullopt after the last block.
  std::optional<int64_t> (*layer)(const BackboneOptions& options, const std::string& name);

  std::vector<OwnParameter> parameters;
  /// Prefixes of tensor names. `structure`: tensors that the module must have, otherwise the file
  /// holds another architecture. `extras`: tensors that a module may leave unused.
  std::vector<std::string_view> structure;
  std::vector<std::string_view> extras;
  /// Suffixes of names of tensors that are computed from the options, neither learned nor loaded.
  std::vector<std::string_view> derived;

  /// Our name of another program's tensor, which begins with one of the prefixes above.
  std::string (*own_name)(std::string name) = [](std::string name) { return name; };
  /// The name of our tensor in timm 0.9 and later.
  std::string (*timm_name)(std::string name) = [](std::string name) { return name; };
  /// Converts tensors, already renamed to `backbone.…`, from other programs' layout to ours.
  void (*restore_layout)(std::map<std::string, torch::Tensor>& tensors) = [](auto&) {};
  /// Converts tensors with our names from our layout to timm's.
  void (*timm_layout)(std::map<std::string, torch::Tensor>& tensors) = [](auto&) {};

  /// Whether the tensors belong to this architecture.
  bool (*holds)(const Weights& weights);
  /// As infer_backbone.
  BackboneOptions (*infer)(const Weights& weights, int64_t heads);

  /// The TorchScript that ibot-model export writes, each module after those that it calls. It maps
  /// images [B, 3, S, S] of the options' size to class and patch tokens. Null: not exportable.
  std::vector<ScriptedForward> (*scripts)(const BackboneOptions& options) = nullptr;
};

/// All rows. If weights match none, the first reports what they lack.
const std::vector<Architecture>& architectures();

/// The row with a preset of this name. Throws OptionError for an unknown name, listing the known
/// ones.
const Architecture& architecture_of(const std::string& arch);

/// Throws OptionError where a key of another architecture is not at its default.
void check_keys(const BackboneOptions& options);

/// The preset of this name; null if there is none.
const Preset* find_preset(const std::string& arch);

/// The parameter at the end of a dotted name; null if it belongs to a layer.
const OwnParameter* own_parameter(std::string_view name);

/// The layer of a parameter for layer-wise learning rates: embeddings 0, block b is b + 1, the rest
/// (final norm and head) one more than the last block.
///
///   name   of any parameter of a network, with or without `backbone.`
///
/// Source: reference `optim_factory.py` (get_num_layer_for_vit, get_num_layer_for_swin).
int64_t layer_of(const BackboneOptions& options, std::string name);

}  // namespace ibot::models
