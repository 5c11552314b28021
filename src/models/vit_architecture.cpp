// The vision transformer's row of the table of architectures.
#include <map>
#include <sstream>

#include "ibot/models/vision_transformer.h"
#include "ibot/nn/layer_norm.h"
#include "models/architecture_parts.h"

namespace ibot::models {
namespace {

constexpr int64_t kUsualHeadWidth = 64;
constexpr const char* kBiasTable = "blocks.0.attn.relative_position_bias_table";

const std::vector<Preset>& presets() {
  static const std::vector<Preset> all{
      {.name = "vit_tiny"},  {.name = "vit_small", .probed_blocks = 4},
      {.name = "vit_base"},  {.name = "vit_large"},
      {.name = "deit_tiny"}, {.name = "deit_small", .probed_blocks = 4}};
  return all;
}

const std::map<std::string, VitShape>& preset_shapes() {
  static const std::map<std::string, VitShape> shapes{
      {"vit_tiny", {192, 12, 3}},    {"vit_small", {384, 12, 6}}, {"vit_base", {768, 12, 12}},
      {"vit_large", {1024, 24, 16}}, {"deit_tiny", {192, 12, 3}}, {"deit_small", {384, 12, 6}}};
  return shapes;
}

int64_t chosen(const char* key, const std::vector<int64_t>& list, int64_t preset,
               const std::string& arch) {
  if (is_preset(list)) return preset;
  check_option(list.size() == 1, key, "expected one number with ", arch, ", got ", list.size());
  check_option(list[0] > 0, key, "expected above 0, got ", list[0]);
  return list[0];
}

std::shared_ptr<Backbone> build(const BackboneOptions& options, Role role) {
  return std::make_shared<VisionTransformer>(options, vit_shape(options), role);
}

double flops(const BackboneOptions& options, int64_t image_size) {
  const auto shape = vit_shape(options);
  const auto patches = static_cast<double>(mask_grid(options, image_size).size());
  const auto width = static_cast<double>(shape.embed_dim);
  const auto tokens = patches + 1.0 + static_cast<double>(options.registers);
  // Multiply-adds per block: four D x D projections and the MLP; scores and weighted sum.
  const double linear = (4.0 + 2.0 * options.mlp_ratio) * width * width * tokens;
  const double attention = 2.0 * tokens * tokens * width;
  return 2.0 * (static_cast<double>(shape.depth) * (linear + attention) +
                patch_pixels(options) * width * patches);
}

std::string described(const BackboneOptions& options) {
  const auto shape = vit_shape(options);
  const auto registers = options.registers > 0 ? concat(", registers ", options.registers) : "";
  return concat("width ", shape.embed_dim, ", depth ", shape.depth, ", heads ", shape.heads,
                registers, options.rel_pos_bias ? ", bias of offsets" : "");
}

std::optional<int64_t> layer(const BackboneOptions&, const std::string& name) {
  constexpr std::string_view kBlocks = "blocks.";
  if (name.starts_with(kBlocks)) return std::stoll(name.substr(kBlocks.size())) + 1;
  const bool embeds = starts_with_any(
      name, {"cls_token", "pos_embed", "masked_embed", "register_tokens", "patch_embed."});
  return embeds ? std::optional<int64_t>(0) : std::nullopt;
}

/// Keeps the class position and resizes the grid: [1, 1 + S·S, D] → [1, 1 + N, D].
/// Source: reference `run_class_finetuning.py` (pos_embed).
torch::Tensor resize_positions(const torch::Tensor& stored, at::IntArrayRef wanted) {
  if (stored.dim() != 3 || wanted.size() != 3 || stored.size(0) != 1 || wanted[0] != 1 ||
      stored.size(2) != wanted[2]) {
    return {};
  }
  const auto positions = stored[0];
  const auto patches = resize_square(positions.slice(0, 1), square_side(wanted[1] - 1));
  if (!patches.defined()) return {};
  return torch::cat({positions.slice(0, 0, 1), patches}).unsqueeze(0);
}

/// Explains a number of position embeddings that is a square of patches without the class token's;
/// empty for any other number.
std::string missing_position(int64_t positions) {
  if (square_side(positions - 1) > 0 || square_side(positions) == 0) return {};
  return concat("expected ", positions + 1,
                " positions, a class token's and those of a square of patches, got ", positions,
                ": the class token's is missing; choose weights that have it");
}

std::string position_problem(const torch::Tensor& stored) {
  return stored.dim() == 3 ? missing_position(stored.size(1)) : "";
}

/// DINOv2 groups blocks in chunks, `blocks.1.10.norm1.weight`; the second number counts all blocks.
void remove_chunk(std::string& name) {
  constexpr std::string_view kBlocks = "blocks.";
  if (!name.starts_with(kBlocks)) return;
  const auto chunk = number_at(name, kBlocks.size());
  if (chunk > 0 && number_at(name, kBlocks.size() + chunk) > 0) name.erase(kBlocks.size(), chunk);
}

std::string own_name(std::string name) {
  remove_chunk(name);
  replace(name, "ls1.gamma", "gamma_1");
  replace(name, "ls2.gamma", "gamma_2");
  if (name == "reg_token") name = "register_tokens";
  return name;
}

std::string for_timm(std::string name) {
  replace(name, ".gamma_1", ".ls1.gamma");
  replace(name, ".gamma_2", ".ls2.gamma");
  if (name == "register_tokens") name = "reg_token";
  return name;
}

/// With registers, timm adds positions only to patches (`no_embed_class`), or to registers too. Our
/// sums are the same if a register's position is added to the register, and if the class token,
/// which timm stores with its position added, gets position 0.
void restore_positions(std::map<std::string, torch::Tensor>& tensors) {
  const auto found = tensors.find("backbone.register_tokens");
  const auto grid = tensors.find("backbone.pos_embed");
  if (found == tensors.end() || grid == tensors.end()) return;
  auto& registers = found->second;
  auto& positions = grid->second;
  const auto fits = [&](const torch::Tensor& stored) {
    return stored.dim() == 3 && stored.size(0) == 1 && stored.size(2) == registers.size(-1);
  };
  if (!fits(registers) || !fits(positions)) return;
  const auto cells = positions.size(1);
  const auto count = registers.size(1);
  if (square_side(cells - 1) > 0) return;
  if (square_side(cells) > 0) {
    positions = torch::cat({torch::zeros_like(positions.slice(1, 0, 1)), positions}, 1);
  } else if (square_side(cells - 1 - count) > 0) {
    registers = registers + positions.slice(1, 1, 1 + count);
    positions = torch::cat({positions.slice(1, 0, 1), positions.slice(1, 1 + count)}, 1);
  }
}

/// The inverse for timm: with registers, positions are those of patches only.
void join_class_position(std::map<std::string, torch::Tensor>& tensors) {
  if (tensors.count("register_tokens") == 0) return;
  auto& positions = tensors.at("pos_embed");
  auto& class_token = tensors.at("cls_token");
  class_token = class_token + positions.slice(1, 0, 1);
  positions = positions.slice(1, 1).contiguous();
}

/// Side of the square of patches, given positions that begin with the class token's.
int64_t patch_side(const Shapes& shapes, int64_t positions) {
  const auto square = [](int64_t cells) { return square_side(cells) > 0; };
  shapes.check(square(positions - 1) || !square(positions - 2) || !shapes.has_other("dist_token"),
               "backbone.pos_embed: expected a class token and a square of patches, got a "
               "distillation token too, which no backbone here has; choose weights without it");
  const auto problem = missing_position(positions);
  shapes.check(problem.empty(), "backbone.pos_embed: ", problem);
  return grid_side(shapes, positions - 1);
}

/// A bias table has a column for each head.
int64_t heads_of(const Shapes& shapes, const Weights& weights, int64_t width, int64_t heads) {
  if (shapes.has(kBiasTable)) return shapes.of(kBiasTable, 2)[1];
  if (heads > 0) return heads;
  const auto arch = weights.arguments.find("arch");
  if (arch != weights.arguments.end()) {
    const auto shape = preset_shapes().find(arch->second);
    if (shape != preset_shapes().end() && shape->second.embed_dim == width) {
      return shape->second.heads;
    }
  }
  shapes.check(width % kUsualHeadWidth == 0, "expected a width of whole heads of ", kUsualHeadWidth,
               ", got ", width, "; say how many there are with backbone.heads=N");
  return width / kUsualHeadWidth;
}

/// Refuses variants that this row does not implement.
void check_parts(const Shapes& shapes) {
  shapes.check(
      shapes.has("pos_embed"),
      "expected a backbone.pos_embed, found none; the backbones here add learned positions "
      "to the patches, choose weights that have them");
  shapes.check(shapes.has("cls_token"),
               "expected a backbone.cls_token, found none; choose weights "
               "of a network with a class token");
  shapes.check(!shapes.has("blocks.0.mlp.w12.weight"),
               "backbone.blocks.0.mlp: expected two linear layers and GELU, got SwiGLU, which no "
               "backbone here has; choose weights without it");
}

bool holds(const Weights& weights) { return Shapes(weights).count("blocks.") > 0; }

BackboneOptions infer(const Weights& weights, int64_t heads) {
  const Shapes shapes(weights);
  auto options = infer_patches(shapes);
  check_parts(shapes);
  const auto positions = shapes.of("pos_embed", 3);
  options.image_size = options.patch_size * patch_side(shapes, positions[1]);
  options.mlp_ratio = mlp_ratio(shapes.of("blocks.0.mlp.fc1.weight", 2)[0], options.embed_dim);
  options.qkv_bias = shapes.has("blocks.0.attn.qkv.bias");
  // Trained scales do not reveal their initial value; any value above 0 builds the same layers.
  options.layer_scale = shapes.has("blocks.0.gamma_1") ? 0.1 : 0.0;
  options.mean_pooling = shapes.has("fc_norm.weight") && !shapes.has("norm.weight");
  if (shapes.has("register_tokens")) options.registers = shapes.of("register_tokens", 3)[1];
  options.rel_pos_bias = shapes.has(kBiasTable);
  options.depth = {shapes.count("blocks.")};
  options.heads = {heads_of(shapes, weights, options.embed_dim, heads)};
  name_preset(options, presets(), vit_shape);
  return options;
}

// Tracing would freeze the batch size of the example, since sizes are plain integers in C++. The
// forward pass is therefore written out in TorchScript; tests compare the two.

/// A linear layer: "torch.linear(x, self.fc1.weight, self.fc1.bias)".
std::string linear(const std::string& x, const std::string& layer, bool bias = true) {
  return concat("torch.linear(", x, ", self.", layer, ".weight, ",
                bias ? concat("self.", layer, ".bias") : "None", ")");
}

std::string norm(const std::string& x, const std::string& layer, int64_t width) {
  return concat("torch.layer_norm(", x, ", [", width, "], self.", layer, ".weight, self.", layer,
                ".bias, ", nn::kLayerNormEps, ")");
}

/// The rows of nn::class_position_index, and with them the bias of a block.
std::string bias_script(int64_t side) {
  const auto offsets = (2 * side - 1) * (2 * side - 1);
  return concat(R"(
    cells = torch.arange()",
                side * side, R"(, device=x.device)
    row = torch.floor_divide(cells, )",
                side, R"()
    column = cells - row * )",
                side, R"(
    rows = row.unsqueeze(1) - row.unsqueeze(0) + )",
                side - 1, R"(
    columns = column.unsqueeze(1) - column.unsqueeze(0) + )",
                side - 1, R"(
    index = torch.constant_pad_nd(rows * )",
                2 * side - 1, R"( + columns, [1, 0, 0, 0], )", offsets + 1, R"()
    index = torch.constant_pad_nd(index, [0, 0, 1, 0], )",
                offsets, R"()
    index[0, 0] = )",
                offsets + 2, R"(
    bias = torch.embedding(self.attn.relative_position_bias_table, index).permute(2, 0, 1).unsqueeze(0))");
}

std::string block_script(const BackboneOptions& options, const VitShape& shape) {
  const bool scaled = options.layer_scale > 0;
  const auto qkv = linear(norm("x", "norm1", shape.embed_dim), "attn.qkv", options.qkv_bias);
  const auto hidden = linear(norm("x", "norm2", shape.embed_dim), "mlp.fc1");
  return concat(R"(
def forward(self, x: Tensor) -> Tensor:
    qkv = )",
                qkv, R"(
    q, k, v = qkv.view(x.size(0), x.size(1), 3, )",
                shape.heads, R"(, -1).permute(2, 0, 3, 1, 4).unbind(0))",
                options.rel_pos_bias ? bias_script(options.image_size / options.patch_size) : "",
                R"(
    y = torch.scaled_dot_product_attention(q, k, v)",
                options.rel_pos_bias ? ", bias" : "",
                R"().transpose(1, 2).flatten(2)
    x = x + )",
                scaled ? "self.gamma_1 * " : "", linear("y", "attn.proj"), R"(
    return x + )",
                scaled ? "self.gamma_2 * " : "", linear("torch.gelu(" + hidden + ")", "mlp.fc2"),
                "\n");
}

std::string network_script(const BackboneOptions& options, const VitShape& shape) {
  const auto patch = options.patch_size;
  std::ostringstream text;
  text << concat(R"(
def forward(self, images: Tensor) -> Tuple[Tensor, Tensor]:
    assert images.size(2) == )",
                 options.image_size, " and images.size(3) == ", options.image_size,
                 ", \"expected images of ", options.image_size, " x ", options.image_size,
                 R"( pixels"
    x = torch.conv2d(images, self.patch_embed.proj.weight, self.patch_embed.proj.bias, [)",
                 patch, ", ", patch, R"(]).flatten(2).transpose(1, 2)
    x = torch.cat([self.cls_token.expand([images.size(0), -1, -1]), x], 1) + self.pos_embed
)");
  if (options.registers > 0) {
    text << "    x = torch.cat([x[:, :1], self.register_tokens.expand([images.size(0), -1, -1]), "
            "x[:, 1:]], 1)\n";
  }
  for (int64_t i = 0; i < shape.depth; ++i) {
    text << concat("    x = getattr(self.blocks, \"", i, "\").forward(x)\n");
  }
  const auto patches = concat("x[:, ", 1 + options.registers, ":]");
  if (options.mean_pooling) {
    text << "    patches = " << patches << "\n    return "
         << norm("patches.mean([1])", "fc_norm", shape.embed_dim) << ", patches\n";
  } else {
    text << "    x = " << norm("x", "norm", shape.embed_dim) << "\n    return x[:, 0], " << patches
         << "\n";
  }
  return text.str();
}

std::vector<ScriptedForward> scripts(const BackboneOptions& options) {
  const auto shape = vit_shape(options);
  std::vector<ScriptedForward> all;
  for (int64_t i = 0; i < shape.depth; ++i) {
    all.push_back({concat("blocks.", i), block_script(options, shape)});
  }
  all.push_back({"", network_script(options, shape)});
  return all;
}

}  // namespace

VitShape vit_shape(const BackboneOptions& options) {
  architecture_of(options.arch);
  const auto preset = preset_shapes().find(options.arch);
  check_option(preset != preset_shapes().end(), "arch", "expected a ViT, got ", options.arch);
  auto shape = preset->second;
  if (options.embed_dim > 0) shape.embed_dim = options.embed_dim;
  shape.depth = chosen("depth", options.depth, shape.depth, options.arch);
  shape.heads = chosen("heads", options.heads, shape.heads, options.arch);
  check_option(shape.embed_dim % shape.heads == 0, "heads", "expected a divisor of the width ",
               shape.embed_dim, ", got ", shape.heads);
  check_option(!options.rel_pos_bias || options.registers == 0, "rel_pos_bias",
               "expected false with backbone.registers, which have no place among the patches");
  return shape;
}

Architecture vit_architecture() {
  return {
      .presets = presets(),
      .samples = {{.arch = "vit_tiny",
                   .patch_size = 4,
                   .image_size = 16,
                   .embed_dim = 64,
                   .depth = {3},
                   .heads = {1}},
                  {.arch = "vit_small",
                   .patch_size = 8,
                   .image_size = 32,
                   .embed_dim = 128,
                   .depth = {2},
                   .heads = {2},
                   .mlp_ratio = 2.5,
                   .qkv_bias = false,
                   .layer_scale = 0.5},
                  {.arch = "vit_tiny",
                   .patch_size = 4,
                   .image_size = 16,
                   .embed_dim = 64,
                   .depth = {2},
                   .heads = {1},
                   .registers = 3},
                  {.arch = "vit_tiny",
                   .patch_size = 4,
                   .image_size = 16,
                   .embed_dim = 64,
                   .depth = {2},
                   .heads = {2},
                   .rel_pos_bias = true}},
      .own_keys = {"layer_scale", "registers"},
      .build = build,
      .output_width = [](const BackboneOptions& options) { return vit_shape(options).embed_dim; },
      .token_pixels = [](const BackboneOptions& options) { return options.patch_size; },
      .blocks = [](const BackboneOptions& options) { return vit_shape(options).depth; },
      .flops = flops,
      .described = described,
      .layer = layer,
      .parameters = {{.name = "cls_token", .is_token = true},
                     {.name = "pos_embed",
                      .is_token = true,
                      .resized = resize_positions,
                      .problem = position_problem},
                     // Initialized as in DINOv2.
                     {.name = "register_tokens", .initial_std = 1e-6, .is_token = true},
                     bias_table_parameter()},
      .structure = {"cls_token", "pos_embed", "reg_token", "register_tokens", "patch_embed.",
                    "blocks.", "norm_pre."},
      .extras = {"norm.", "fc_norm."},
      .derived = {"relative_position_index"},
      .own_name = own_name,
      .timm_name = for_timm,
      .restore_layout = restore_positions,
      .timm_layout = join_class_position,
      .holds = holds,
      .infer = infer,
      .scripts = scripts,
  };
}

}  // namespace ibot::models
