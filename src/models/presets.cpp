#include <map>

#include "ibot/models/backbone_options.h"

namespace ibot::models {
namespace {

/// Stages of a Swin preset; the width doubles from each to the next.
struct SwinPreset {
  int64_t embed_dim;
  std::vector<int64_t> depth;
  std::vector<int64_t> heads;
};

const std::map<std::string, VitShape>& vit_presets() {
  static const std::map<std::string, VitShape> presets{
      {"vit_tiny", {192, 12, 3}},   {"deit_tiny", {192, 12, 3}}, {"vit_small", {384, 12, 6}},
      {"deit_small", {384, 12, 6}}, {"vit_base", {768, 12, 12}}, {"vit_large", {1024, 24, 16}}};
  return presets;
}

const std::map<std::string, SwinPreset>& swin_presets() {
  static const std::map<std::string, SwinPreset> presets{
      {"swin_tiny", {96, {2, 2, 6, 2}, {3, 6, 12, 24}}},
      {"swin_small", {96, {2, 2, 18, 2}, {3, 6, 12, 24}}},
      {"swin_base", {128, {2, 2, 18, 2}, {4, 8, 16, 32}}},
      {"swin_large", {192, {2, 2, 18, 2}, {6, 12, 24, 48}}}};
  return presets;
}

/// A 0 alone is how runs of earlier versions wrote "the preset's".
bool is_preset(const std::vector<int64_t>& list) {
  return list.empty() || list == std::vector<int64_t>{0};
}

int64_t chosen(const char* key, const std::vector<int64_t>& list, int64_t preset,
               const std::string& arch) {
  if (is_preset(list)) return preset;
  check_option(list.size() == 1, key, "expected one number with ", arch, ", got ", list.size());
  check_option(list[0] > 0, key, "expected above 0, got ", list[0]);
  return list[0];
}

std::vector<int64_t> chosen(const char* key, const std::vector<int64_t>& list,
                            const std::vector<int64_t>& preset) {
  if (is_preset(list)) return preset;
  for (const auto value : list) {
    check_option(value > 0, key, "expected each above 0, got ", value);
  }
  return list;
}

const SwinPreset& swin_preset(const BackboneOptions& options) {
  check_option(is_swin(options), "arch", "expected a Swin transformer, got ", options.arch);
  return swin_presets().at(options.arch);
}

void check_swin_options(const BackboneOptions& options) {
  const auto& arch = options.arch;
  check_option(options.patch_size == 4, "patch_size", "expected 4 with ", arch, ", got ",
               options.patch_size, "; set backbone.patch_size=4");
  check_option(options.layer_scale == 0, "layer_scale", "expected 0 with ", arch, ", got ",
               options.layer_scale);
  check_option(!options.mean_pooling, "mean_pooling", "expected false with ", arch,
               ", got true; its class token is the mean of its patch tokens anyway");
}

}  // namespace

bool is_swin(const BackboneOptions& options) {
  if (swin_presets().count(options.arch) > 0) return true;
  if (vit_presets().count(options.arch) > 0) return false;
  std::string known;
  for (const auto& [name, shape] : vit_presets()) known += name + ", ";
  for (const auto& [name, shape] : swin_presets()) known += name + ", ";
  known.resize(known.size() - 2);
  throw OptionError("arch", concat("expected one of ", known, "; got ", options.arch));
}

VitShape vit_shape(const BackboneOptions& options) {
  check_option(!is_swin(options), "arch", "expected a ViT, got ", options.arch);
  auto shape = vit_presets().at(options.arch);
  if (options.embed_dim > 0) shape.embed_dim = options.embed_dim;
  shape.depth = chosen("depth", options.depth, shape.depth, options.arch);
  shape.heads = chosen("heads", options.heads, shape.heads, options.arch);
  check_option(shape.embed_dim % shape.heads == 0, "heads", "expected a divisor of the width ",
               shape.embed_dim, ", got ", shape.heads);
  return shape;
}

SwinShape swin_shape(const BackboneOptions& options) {
  const auto& preset = swin_preset(options);
  check_swin_options(options);
  const auto depth = chosen("depth", options.depth, preset.depth);
  const auto heads = chosen("heads", options.heads, preset.heads);
  check_option(heads.size() == depth.size(), "heads", "expected one for each of ", depth.size(),
               " stages, got ", heads.size(), "; set backbone.depth and backbone.heads alike");
  auto width = options.embed_dim > 0 ? options.embed_dim : preset.embed_dim;
  auto side = options.image_size / options.patch_size;
  SwinShape shape;
  for (size_t i = 0; i < depth.size(); ++i, width *= 2, side /= 2) {
    check_option(width % heads[i] == 0, "heads", "expected a divisor of the width ", width,
                 " of stage ", i, ", got ", heads[i]);
    check_option(side > 0, "image_size", "expected ", options.patch_size << i, " or more with ",
                 depth.size(), " stages, got ", options.image_size);
    const bool whole = side <= options.window_size;
    shape.push_back({.width = width,
                     .depth = depth[i],
                     .heads = heads[i],
                     .window = whole ? side : options.window_size,
                     .shift = whole ? 0 : options.window_size / 2});
  }
  return shape;
}

int64_t output_width(const BackboneOptions& options) {
  return is_swin(options) ? swin_shape(options).back().width : vit_shape(options).embed_dim;
}

int64_t token_pixels(const BackboneOptions& options) {
  if (!is_swin(options)) return options.patch_size;
  return options.patch_size << (swin_shape(options).size() - 1);
}

}  // namespace ibot::models
