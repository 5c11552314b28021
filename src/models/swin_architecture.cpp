// The Swin transformer's row of the table of architectures.
#include <algorithm>
#include <map>
#include <utility>

#include "ibot/models/swin_transformer.h"
#include "models/architecture_parts.h"

namespace ibot::models {
namespace {

constexpr int64_t kMaxStages = 8;
constexpr std::string_view kStage = "layers.";
constexpr std::string_view kDownsample = ".downsample.";

/// Stages of a preset; the width doubles from stage to stage.
struct Stages {
  int64_t embed_dim;
  std::vector<int64_t> depth;
  std::vector<int64_t> heads;
};

const std::vector<Preset>& presets() {
  static const std::vector<Preset> all{
      // The reference's trainer does not pass --drop_path to Swin: each size has its own rate.
      {.name = "swin_tiny", .probed_blocks = 4, .fixed_drop_path = 0.1},
      {.name = "swin_small", .probed_blocks = 4, .fixed_drop_path = 0.2},
      {.name = "swin_base", .probed_blocks = 4, .fixed_drop_path = 0.2},
      {.name = "swin_large", .probed_blocks = 4, .fixed_drop_path = 0.2}};
  return all;
}

const std::map<std::string, Stages>& preset_stages() {
  static const std::map<std::string, Stages> stages{
      {"swin_tiny", {96, {2, 2, 6, 2}, {3, 6, 12, 24}}},
      {"swin_small", {96, {2, 2, 18, 2}, {3, 6, 12, 24}}},
      {"swin_base", {128, {2, 2, 18, 2}, {4, 8, 16, 32}}},
      {"swin_large", {192, {2, 2, 18, 2}, {6, 12, 24, 48}}}};
  return stages;
}

std::vector<int64_t> chosen(const char* key, const std::vector<int64_t>& list,
                            const std::vector<int64_t>& preset) {
  if (is_preset(list)) return preset;
  for (const auto value : list) {
    check_option(value > 0, key, "expected each above 0, got ", value);
  }
  return list;
}

void check_options(const BackboneOptions& options) {
  const auto& arch = options.arch;
  check_option(options.patch_size == 4, "patch_size", "expected 4 with ", arch, ", got ",
               options.patch_size, "; set backbone.patch_size=4");
  check_option(!options.rel_pos_bias, "rel_pos_bias", "expected false with ", arch,
               ", got true; its windows have a bias anyway");
  check_option(!options.mean_pooling, "mean_pooling", "expected false with ", arch,
               ", got true; its class token is the mean of its patch tokens anyway");
}

std::shared_ptr<Backbone> build(const BackboneOptions& options, Role role) {
  return std::make_shared<SwinTransformer>(options, swin_shape(options), role);
}

int64_t last_patch_pixels(const BackboneOptions& options) {
  return options.patch_size << (swin_shape(options).size() - 1);
}

/// Number of blocks in the first `stages` stages.
int64_t blocks_of(const SwinShape& shape, size_t stages) {
  int64_t count = 0;
  for (size_t i = 0; i < std::min(stages, shape.size()); ++i) count += shape[i].depth;
  return count;
}

int64_t blocks(const BackboneOptions& options) {
  const auto shape = swin_shape(options);
  return blocks_of(shape, shape.size());
}

/// FLOPs of a stage's blocks on a map of side x side tokens. Padding tokens take part in attention.
double stage_flops(const BackboneOptions& options, const SwinStage& stage, int64_t side) {
  const auto width = static_cast<double>(stage.width);
  const auto padded = (side + stage.window - 1) / stage.window * stage.window;
  const auto attending = static_cast<double>(padded * padded);
  const auto tokens = static_cast<double>(side * side);
  const auto window = static_cast<double>(stage.window * stage.window);
  // Per token: queries, keys, values and output projection 4 D², scores and weighted sum 2 w² D.
  const double attention = (4.0 * width + 2.0 * window) * width * attending;
  const double mlp = 2.0 * options.mlp_ratio * width * width * tokens;
  return 2.0 * static_cast<double>(stage.depth) * (attention + mlp);
}

double flops(const BackboneOptions& options, int64_t image_size) {
  const auto shape = swin_shape(options);
  auto side = image_size / options.patch_size;
  // The patch embedding: one product for each patch.
  double flops =
      2.0 * patch_pixels(options) * static_cast<double>(shape.front().width * side * side);
  for (size_t i = 0; i < shape.size(); ++i) {
    flops += stage_flops(options, shape[i], side);
    // Patch merging pads odd maps; its linear layer maps 4 D to 2 D: 8 D² multiply-adds per token.
    side = (side + 1) / 2;
    const auto width = static_cast<double>(shape[i].width);
    if (i + 1 < shape.size()) flops += 16.0 * width * width * static_cast<double>(side * side);
  }
  return flops;
}

std::string described(const BackboneOptions& options) {
  std::string widths, depths, heads, windows;
  for (const auto& stage : swin_shape(options)) {
    const std::string dash = widths.empty() ? "" : "-";
    widths += concat(dash, stage.width);
    depths += concat(dash, stage.depth);
    heads += concat(dash, stage.heads);
    windows += concat(dash, stage.window);
  }
  return concat("width ", widths, ", depth ", depths, ", heads ", heads, ", window ", windows);
}

/// Patch merging at the end of a stage belongs to the layer of the stage's last block.
std::optional<int64_t> layer(const BackboneOptions& options, const std::string& name) {
  if (starts_with_any(name, {"patch_embed.", "masked_embed"})) return 0;
  if (!name.starts_with(kStage)) return std::nullopt;
  const auto shape = swin_shape(options);
  const auto stage = std::stoul(name.substr(kStage.size()));
  // "layers.2.blocks.5.…": layer = blocks in the stages before + 5 + 1.
  const auto part = name.substr(kStage.size() + number_at(name, kStage.size()));
  constexpr std::string_view kBlocks = "blocks.";
  if (!part.starts_with(kBlocks)) return blocks_of(shape, stage + 1);
  return blocks_of(shape, stage) + std::stoll(part.substr(kBlocks.size())) + 1;
}

/// "layers.1.downsample.norm.weight" with stage 1 replaced by 1 + `by`.
std::string moved(const std::string& name, size_t stage_at, int64_t by) {
  const auto length = number_at(name, stage_at);
  const auto stage = std::stoll(name.substr(stage_at, length - 1));
  return concat(name.substr(0, stage_at), stage + by, name.substr(stage_at + length - 1));
}

bool is_downsampling(const std::string& name, size_t stage_at) {
  const auto length = number_at(name, stage_at);
  return length > 1 && length < 4 &&
         name.compare(stage_at + length - 1, kDownsample.size(), kDownsample) == 0;
}

std::string for_timm(std::string name) {
  const bool moves = name.starts_with(kStage) && is_downsampling(name, kStage.size());
  return moves ? moved(name, kStage.size(), 1) : name;
}

/// Moves downsampling to the end of the preceding stage, as in the reference; timm 0.9 and later
/// have it at the beginning of the next.
void restore_downsampling(std::map<std::string, torch::Tensor>& tensors) {
  const auto prefix = concat("backbone.", kStage);
  std::vector<std::string> names;
  bool first = false;
  for (const auto& [name, tensor] : tensors) {
    if (!name.starts_with(prefix) || !is_downsampling(name, prefix.size())) continue;
    first |= name.starts_with(concat(prefix, 0, kDownsample));
    names.push_back(name);
  }
  // Downsampling in stage 0 exists only in the reference's naming.
  if (first) return;
  // Ascending order: each name moves to the one that the previous move has vacated.
  for (const auto& name : names) {
    auto entry = tensors.extract(name);
    entry.key() = moved(name, prefix.size(), -1);
    tensors.insert(std::move(entry));
  }
}

bool holds(const Weights& weights) { return Shapes(weights).count(std::string(kStage)) > 0; }

/// Heads and windows follow from the sizes of the bias tables. A last window smaller than the first
/// is the whole map and reveals the image size; otherwise the default is assumed.
BackboneOptions infer(const Weights& weights, int64_t /*heads*/) {
  const Shapes shapes(weights);
  auto options = infer_patches(shapes);
  const auto stages = shapes.count(std::string(kStage));
  // Bounds the shift below.
  shapes.check(stages <= kMaxStages, "expected at most ", kMaxStages, " stages, got ", stages);
  std::vector<int64_t> windows;
  for (int64_t stage = 0; stage < stages; ++stage) {
    const auto name = concat(kStage, stage, ".blocks.");
    const auto table = shapes.of(name + "0.attn.relative_position_bias_table", 2);
    // [(2w - 1)², heads]
    windows.push_back((grid_side(shapes, table[0]) + 1) / 2);
    options.depth.push_back(shapes.count(name));
    options.heads.push_back(table[1]);
  }
  options.window_size = windows.front();
  if (windows.back() < windows.front()) {
    // The last map has windows.back() tokens a side, and every merging before it halved them.
    options.image_size = (options.patch_size * windows.back()) << (stages - 1);
  }
  options.mlp_ratio =
      mlp_ratio(shapes.of("layers.0.blocks.0.mlp.fc1.weight", 2)[0], options.embed_dim);
  options.qkv_bias = shapes.has("layers.0.blocks.0.attn.qkv.bias");
  name_preset(options, presets(), swin_shape);
  return options;
}

}  // namespace

SwinShape swin_shape(const BackboneOptions& options) {
  architecture_of(options.arch);
  const auto preset = preset_stages().find(options.arch);
  check_option(preset != preset_stages().end(), "arch", "expected a Swin transformer, got ",
               options.arch);
  check_options(options);
  const auto depth = chosen("depth", options.depth, preset->second.depth);
  const auto heads = chosen("heads", options.heads, preset->second.heads);
  check_option(heads.size() == depth.size(), "heads", "expected one for each of ", depth.size(),
               " stages, got ", heads.size(), "; set backbone.depth and backbone.heads alike");
  auto width = options.embed_dim > 0 ? options.embed_dim : preset->second.embed_dim;
  // Windows follow from the size of pre-training images alone, as in the reference: smaller images
  // later on are padded to them.
  auto side = options.image_size / options.patch_size;
  SwinShape shape;
  for (size_t i = 0; i < depth.size(); ++i, width *= 2, side /= 2) {
    check_option(width % heads[i] == 0, "heads", "expected a divisor of the width ", width,
                 " of stage ", i, ", got ", heads[i]);
    check_option(side > 0, "image_size", "expected ", options.patch_size << i, " or more with ",
                 depth.size(), " stages, got ", options.image_size);
    // A window that covers the whole map is not shifted.
    const bool whole = side <= options.window_size;
    shape.push_back({.width = width,
                     .depth = depth[i],
                     .heads = heads[i],
                     .window = whole ? side : options.window_size,
                     .shift = whole ? 0 : options.window_size / 2});
  }
  return shape;
}

Architecture swin_architecture() {
  return {
      .presets = presets(),
      .samples = {{.arch = "swin_tiny",
                   .patch_size = 4,
                   .window_size = 4,
                   .image_size = 32,
                   .embed_dim = 12,
                   .depth = {2, 1},
                   .heads = {2, 3}},
                  {.arch = "swin_base",
                   .patch_size = 4,
                   .window_size = 5,
                   .image_size = 64,
                   .embed_dim = 8,
                   .depth = {1, 2, 2},
                   .heads = {1, 2, 4},
                   .mlp_ratio = 2.5,
                   .qkv_bias = false}},
      .hierarchical = true,
      .build = build,
      .output_width =
          [](const BackboneOptions& options) { return swin_shape(options).back().width; },
      .token_pixels = last_patch_pixels,
      .blocks = blocks,
      .flops = flops,
      .described = described,
      .layer = layer,
      .parameters = {bias_table_parameter()},
      .structure = {"patch_embed.", "layers."},
      .extras = {"norm."},
      .derived = {"relative_position_index", "attn_mask"},
      .timm_name = for_timm,
      .restore_layout = restore_downsampling,
      .holds = holds,
      .infer = infer,
  };
}

}  // namespace ibot::models
