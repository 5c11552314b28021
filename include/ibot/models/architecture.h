// The table of architectures: all that the rest of the code knows of each kind of backbone.
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

/// A name that `options.arch` may have, with the paper's choices for it beside its shape.
struct Preset {
  std::string name;
  /// Linear probing reads the class tokens of so many last blocks; 0: the class token and the mean
  /// patch token of the last. Source: paper appendix C; the reference's run.sh.
  int64_t probed_blocks = 0;
  /// Stochastic depth of the reference's constructor, where its trainer ignores --drop_path.
  std::optional<double> fixed_drop_path;
};

/// A parameter that is none of a linear layer, a convolution or a norm, known by the last part of
/// its name, which is the same in every architecture that has it.
struct OwnParameter {
  std::string_view name;
  double initial_std = 0.02;
  /// A learnt token or position, which fine-tuning may exempt from weight decay.
  bool is_token = false;
  /// A stored value at the wanted shape; undefined where they differ in more than size.
  torch::Tensor (*resized)(const torch::Tensor& stored, at::IntArrayRef wanted) = nullptr;
  /// What is wrong with a stored value that does not fit; empty where nothing is known.
  std::string (*problem)(const torch::Tensor& stored) = nullptr;
};

/// The forward pass of one module in TorchScript.
struct ScriptedForward {
  std::string module;  // dotted name below the backbone; empty: the backbone itself
  std::string source;
};

/// One row of the table. Names are those of the backbone's own module, without `backbone.`.
///
/// Functions of options take those whose `arch` is one of the presets, and throw OptionError on
/// values that this architecture cannot have.
struct Architecture {
  /// The first one stands for shapes that are no preset's.
  std::vector<Preset> presets;
  /// Small backbones of this architecture, on which its contract is tested.
  std::vector<BackboneOptions> samples;

  std::shared_ptr<Backbone> (*build)(const BackboneOptions& options, Role role);
  /// Width of the output tokens.
  int64_t (*output_width)(const BackboneOptions& options);
  /// Side in pixels of what one output token stands for.
  int64_t (*token_pixels)(const BackboneOptions& options);
  /// Blocks, of all stages.
  int64_t (*blocks)(const BackboneOptions& options);
  /// Floating-point operations of the forward pass for one image, as train::backbone_flops.
  double (*flops)(const BackboneOptions& options, int64_t image_size);
  /// The shape in words: "width 384, depth 12, heads 6".
  std::string (*described)(const BackboneOptions& options);
  /// Depth of a parameter: 0 in the embedding, b + 1 in block b, none after the last block.
  std::optional<int64_t> (*layer)(const BackboneOptions& options, const std::string& name);

  std::vector<OwnParameter> parameters;
  /// What names of its tensors begin with: of those that make another architecture where the module
  /// lacks them, and of the others, which a module may leave unused.
  std::vector<std::string_view> structure;
  std::vector<std::string_view> extras;
  /// What names of tensors end in that are computed from the options, neither learnt nor loaded.
  std::vector<std::string_view> derived;

  /// Our name of a tensor of another program, which begins as above.
  std::string (*own_name)(std::string name) = [](std::string name) { return name; };
  /// The name of timm 0.9 and later for a tensor of ours.
  std::string (*timm_name)(std::string name) = [](std::string name) { return name; };
  /// Brings tensors with our names, each after `backbone.`, from other programs' layout to ours.
  void (*restore_layout)(std::map<std::string, torch::Tensor>& tensors) = [](auto&) {};
  /// Brings tensors with our names from our layout to timm's.
  void (*timm_layout)(std::map<std::string, torch::Tensor>& tensors) = [](auto&) {};

  /// Whether the tensors are of this architecture.
  bool (*holds)(const Weights& weights);
  /// As infer_backbone.
  BackboneOptions (*infer)(const Weights& weights, int64_t heads);

  /// The program that ibot-model export writes, each module after those that it calls; it takes
  /// images [B, 3, S, S] of the options' size to class and patch tokens. Null: no export.
  std::vector<ScriptedForward> (*scripts)(const BackboneOptions& options) = nullptr;
};

/// All rows. Where weights are held by none, the first tells what they lack.
const std::vector<Architecture>& architectures();

/// The row whose preset has this name. Throws OptionError on an unknown one, listing the known.
const Architecture& architecture_of(const std::string& arch);

/// The preset of this name; null where there is none.
const Preset* find_preset(const std::string& arch);

/// The parameter that a dotted name ends in; null where it is a layer's.
const OwnParameter* own_parameter(std::string_view name);

/// The layer of a parameter for layer-wise learning rates: embeddings 0, block b is b + 1, the
/// rest, final norm and head, one above the last block.
///
///   name   with or without `backbone.`; of any part of a network
///
/// Source: reference `optim_factory.py` (get_num_layer_for_vit, get_num_layer_for_swin).
int64_t layer_of(const BackboneOptions& options, std::string name);

}  // namespace ibot::models
