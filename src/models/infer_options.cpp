#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/models/network.h"
#include "ibot/models/resize_weights.h"
#include "ibot/models/weights.h"

namespace ibot::models {
namespace {

constexpr int64_t kUsualHeadWidth = 64;
constexpr int64_t kMostHeadLayers = 64;
constexpr int64_t kMaxStages = 8;
constexpr std::array kVits{"vit_tiny", "vit_small", "vit_base", "vit_large"};
constexpr std::array kOfficialVits{"vit_tiny",  "vit_small", "vit_base",
                                   "vit_large", "deit_tiny", "deit_small"};
constexpr std::array kSwins{"swin_tiny", "swin_small", "swin_base", "swin_large"};

/// Shapes of a file's backbone.
class Shapes {
 public:
  explicit Shapes(const Weights& weights) : weights_(weights) {}

  bool has(const std::string& name) const { return weights_.tensors.count("backbone." + name) > 0; }

  bool has_other(std::string_view ending) const {
    return std::any_of(weights_.others.begin(), weights_.others.end(),
                       [&](const auto& name) { return name.ends_with(ending); });
  }

  at::IntArrayRef of(const std::string& name, size_t dims) const {
    const auto found = weights_.tensors.find("backbone." + name);
    check(found != weights_.tensors.end(), "expected a backbone.", name, ", found none");
    const auto sizes = found->second.sizes();
    check(sizes.size() == dims, "backbone.", name, ": expected ", dims, " dimensions, got ", sizes);
    return sizes;
  }

  /// How many numbers follow `beginning` in the names: blocks.0, blocks.1, …
  int64_t count(const std::string& beginning) const {
    int64_t number = 0;
    const auto named = [&](int64_t i) {
      const auto text = concat("backbone.", beginning, i, ".");
      const auto found = weights_.tensors.lower_bound(text);
      return found != weights_.tensors.end() && found->first.rfind(text, 0) == 0;
    };
    while (named(number)) ++number;
    return number;
  }

  template <class... Parts>
  void check(bool ok, const Parts&... parts) const {
    if (!ok) throw CheckpointError(concat(weights_.source, ": ", parts...));
  }

 private:
  const Weights& weights_;
};

/// Side of the square of `cells` positions or offsets.
int64_t grid_side(const Shapes& shapes, int64_t cells) {
  const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(cells))));
  shapes.check(side > 0 && side * side == cells, "backbone: expected positions in a square, got ",
               cells);
  return side;
}

/// Side of the patches' square in positions that begin with the class token's.
int64_t patch_side(const Shapes& shapes, int64_t positions) {
  const auto square = [](int64_t cells) { return square_side(cells) > 0; };
  shapes.check(square(positions - 1) || !square(positions - 2) || !shapes.has_other("dist_token"),
               "backbone.pos_embed: expected a class token and a square of patches, got a "
               "distillation token too, which no backbone here has; choose weights without it");
  const auto problem = position_problem(positions);
  shapes.check(problem.empty(), "backbone.pos_embed: ", problem);
  return grid_side(shapes, positions - 1);
}

int64_t heads_of(const Shapes& shapes, const Weights& weights, int64_t width, int64_t heads) {
  if (heads > 0) return heads;
  const auto arch = weights.arguments.find("arch");
  for (const char* preset : kOfficialVits) {
    const auto shape = vit_shape({.arch = preset});
    if (arch != weights.arguments.end() && arch->second == preset && shape.embed_dim == width) {
      return shape.heads;
    }
  }
  shapes.check(width % kUsualHeadWidth == 0, "expected a width of whole heads of ", kUsualHeadWidth,
               ", got ", width, "; say how many there are with backbone.heads=N");
  return width / kUsualHeadWidth;
}

/// Takes a preset's name where its shape is that of `options`, and any one beside the numbers
/// elsewhere.
template <class Presets, class ShapeOf>
void name_preset(BackboneOptions& options, const Presets& presets, const ShapeOf& shape_of) {
  options.arch = presets.front();
  const auto wanted = shape_of(options);
  for (const char* preset : presets) {
    auto named = options;
    named.arch = preset;
    named.embed_dim = 0;
    named.depth = named.heads = {};
    if (shape_of(named) != wanted) continue;
    options = named;
    return;
  }
}

double mlp_ratio(int64_t hidden, int64_t width) {
  const auto ratio = static_cast<double>(hidden) / static_cast<double>(width);
  // Times the width it is cut to an integer again, which a quotient rounded down would miss.
  const bool low = static_cast<int64_t>(ratio * static_cast<double>(width)) < hidden;
  return low ? std::nextafter(ratio, 2 * ratio) : ratio;
}

void infer_vit(BackboneOptions& options, const Shapes& shapes, const Weights& weights,
               int64_t heads) {
  shapes.check(shapes.has("pos_embed"),
               "expected a backbone.pos_embed, found none; the backbones here add learnt positions "
               "to the patches, choose weights that have them");
  shapes.check(shapes.has("cls_token"),
               "expected a backbone.cls_token, found none; choose weights "
               "of a network with a class token");
  shapes.check(!shapes.has("blocks.0.mlp.w12.weight"),
               "backbone.blocks.0.mlp: expected two linear layers and GELU, got SwiGLU, which no "
               "backbone here has; choose weights without it");
  const auto positions = shapes.of("pos_embed", 3);
  options.image_size = options.patch_size * patch_side(shapes, positions[1]);
  options.mlp_ratio = mlp_ratio(shapes.of("blocks.0.mlp.fc1.weight", 2)[0], options.embed_dim);
  options.qkv_bias = shapes.has("blocks.0.attn.qkv.bias");
  // How it began is not told by what it became; any value above 0 builds the same layers.
  options.layer_scale = shapes.has("blocks.0.gamma_1") ? 0.1 : 0.0;
  options.mean_pooling = shapes.has("fc_norm.weight") && !shapes.has("norm.weight");
  options.depth = {shapes.count("blocks.")};
  options.heads = {heads_of(shapes, weights, options.embed_dim, heads)};
  name_preset(options, kVits, [](const BackboneOptions& candidate) {
    const auto shape = vit_shape(candidate);
    return std::array{shape.embed_dim, shape.depth, shape.heads};
  });
}

/// Heads and windows are the sizes of the bias tables. A last window smaller than the first is the
/// whole map there and tells the image size; elsewhere it is taken for the usual one.
void infer_swin(BackboneOptions& options, const Shapes& shapes) {
  const auto stages = shapes.count("layers.");
  shapes.check(stages <= kMaxStages, "expected at most ", kMaxStages, " stages, got ", stages);
  std::vector<int64_t> windows;
  for (int64_t stage = 0; stage < stages; ++stage) {
    const auto name = concat("layers.", stage, ".blocks.");
    const auto table = shapes.of(name + "0.attn.relative_position_bias_table", 2);
    windows.push_back((grid_side(shapes, table[0]) + 1) / 2);
    options.depth.push_back(shapes.count(name));
    options.heads.push_back(table[1]);
  }
  options.window_size = windows.front();
  if (windows.back() < windows.front()) {
    options.image_size = (options.patch_size * windows.back()) << (stages - 1);
  }
  options.mlp_ratio =
      mlp_ratio(shapes.of("layers.0.blocks.0.mlp.fc1.weight", 2)[0], options.embed_dim);
  options.qkv_bias = shapes.has("layers.0.blocks.0.attn.qkv.bias");
  name_preset(options, kSwins, [](const BackboneOptions& candidate) {
    std::vector<std::array<int64_t, 3>> shape;
    for (const auto& stage : swin_shape(candidate)) {
      shape.push_back({stage.width, stage.depth, stage.heads});
    }
    return shape;
  });
}

}  // namespace

BackboneOptions infer_backbone(const Weights& weights, int64_t heads) {
  const Shapes shapes(weights);
  BackboneOptions options;
  const auto patch = shapes.of("patch_embed.proj.weight", 4);
  shapes.check(patch[0] > 0 && patch[1] == 3 && patch[2] > 0 && patch[2] == patch[3],
               "backbone.patch_embed.proj.weight: expected [D, 3, P, P], got ", patch);
  options.embed_dim = patch[0];
  options.patch_size = patch[2];
  const bool swin = shapes.count("layers.") > 0;
  swin ? infer_swin(options, shapes) : infer_vit(options, shapes, weights, heads);
  try {
    options.validate();
  } catch (const OptionError& error) {
    shapes.check(false, "backbone.", error.what());
  }
  return options;
}

HeadOptions infer_head(const Weights& weights) {
  const auto find = [&](const std::string& name) {
    const auto found = weights.tensors.find("head." + name);
    if (found == weights.tensors.end()) return torch::Tensor();
    IBOT_CHECK_AS(CheckpointError, found->second.dim() > 0, weights.source, ": head.", name,
                  ": expected a tensor of one dimension or more, got a scalar");
    return found->second;
  };
  HeadOptions options;
  torch::Tensor last = find("mlp.weight");  // of a single layer
  options.layers = last.defined() ? 1 : 0;
  for (int64_t number = 0; number < kMostHeadLayers && !find("mlp.weight").defined(); ++number) {
    const auto weight = find(concat("mlp.", number, ".weight"));
    if (!weight.defined() || weight.dim() != 2) continue;
    if (++options.layers == 1) options.hidden_dim = weight.size(0);
    last = weight;
  }
  IBOT_CHECK_AS(CheckpointError, last.defined() && last.dim() == 2, weights.source,
                ": expected a projection head, found none");
  const auto norm = find("mlp.1.weight");
  if (norm.defined() && norm.dim() == 1) {
    options.norm = find("mlp.1.running_mean").defined() ? HeadNorm::kBatch : HeadNorm::kLayer;
  }
  const auto first = find("last_layer.weight_v");
  const auto second = first.defined() ? find("last_layer2.weight_v") : find("mlp2.weight");
  options.bottleneck_dim = first.defined() ? last.size(0) : 0;
  options.prototypes = first.defined() ? first.size(0) : last.size(0);
  options.patch_prototypes = second.defined() ? second.size(0) : options.prototypes;
  options.shared = !second.defined() ||
                   second.const_data_ptr() == (first.defined() ? first : last).const_data_ptr();
  const auto lengths = find("last_layer.weight_g");
  options.norm_last_layer = !lengths.defined() || lengths.eq(1).all().item<bool>();
  return options;
}

std::vector<std::string> missing_tensors(const Weights& weights) {
  std::vector<std::string> missing;
  const auto collect = [&](const torch::nn::Module& module, const std::string& prefix) {
    for (const auto& [short_name, tensor] : named_state(module)) {
      const auto name = prefix + short_name;
      if (is_derived(name) || name == "backbone.masked_embed") continue;
      const auto found = weights.tensors.find(name);
      if (found != weights.tensors.end() && found->second.sizes() == tensor.sizes()) continue;
      missing.push_back(name);
    }
  };
  // How many heads there are changes no shape.
  const auto backbone = infer_backbone(weights, 1);
  const auto first = weights.tensors.lower_bound("head.");
  if (first == weights.tensors.end() || !first->first.starts_with("head.")) {
    collect(*build_backbone(backbone, Role::kTeacher), "backbone.");
    return missing;
  }
  auto head = infer_head(weights);
  head.shared_teacher = head.shared;
  collect(Network(backbone, head, Role::kTeacher), "");
  return missing;
}

}  // namespace ibot::models
