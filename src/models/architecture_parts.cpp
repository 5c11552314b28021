#include "models/architecture_parts.h"

#include <algorithm>
#include <cctype>

#include "ibot/nn/relative_bias.h"

namespace ibot::models {

bool starts_with_any(std::string_view name, const std::vector<std::string_view>& beginnings) {
  return std::any_of(beginnings.begin(), beginnings.end(),
                     [&](const auto& beginning) { return name.starts_with(beginning); });
}

void replace(std::string& name, std::string_view from, std::string_view to) {
  const auto at = name.find(from);
  if (at != std::string::npos) name.replace(at, from.size(), to);
}

size_t number_at(const std::string& name, size_t at) {
  size_t end = at;
  while (end < name.size() && std::isdigit(static_cast<unsigned char>(name[end])) != 0) ++end;
  return end > at && end < name.size() && name[end] == '.' ? end + 1 - at : 0;
}

bool is_preset(const std::vector<int64_t>& list) {
  return list.empty() || list == std::vector<int64_t>{0};
}

double patch_pixels(const BackboneOptions& options) {
  return 3.0 * static_cast<double>(options.patch_size * options.patch_size);
}

int64_t square_side(int64_t cells) {
  const auto side = std::llround(std::sqrt(static_cast<double>(std::max<int64_t>(cells, 0))));
  return side * side == cells ? side : 0;
}

torch::Tensor resize_square(const torch::Tensor& cells, int64_t side) {
  const auto stored = square_side(cells.size(0));
  if (stored == 0 || side == 0) return {};
  const auto map =
      cells.to(torch::kFloat).t().reshape({1, cells.size(1), stored, stored});  // [1, C, S, S]
  const auto resized = at::upsample_bicubic2d(map, {side, side}, /*align_corners=*/false);
  return resized.reshape({cells.size(1), side * side}).t().contiguous().to(cells.dtype());
}

OwnParameter bias_table_parameter() {
  // Source: reference `swin_transformer.py` (init_weights: bias tables).
  const auto resized = [](const torch::Tensor& stored, at::IntArrayRef wanted) -> torch::Tensor {
    if (stored.dim() != 2 || wanted.size() != 2 || stored.size(1) != wanted[1]) return {};
    // A map of offsets has an odd number of rows, and with those of a class token an even one.
    const auto others = stored.size(0) % 2 == 0 ? nn::kClassOffsets : 0;
    const auto side = square_side(wanted[0] - others);
    if (side == 0 || square_side(stored.size(0) - others) == 0) return {};
    return nn::resize_bias_table(stored, side, others);
  };
  return {.name = "relative_position_bias_table", .is_bias_table = true, .resized = resized};
}

bool Shapes::has_other(std::string_view ending) const {
  return std::any_of(weights_.others.begin(), weights_.others.end(),
                     [&](const auto& name) { return name.ends_with(ending); });
}

at::IntArrayRef Shapes::of(const std::string& name, size_t dims) const {
  const auto found = weights_.tensors.find("backbone." + name);
  check(found != weights_.tensors.end(), "expected a backbone.", name, ", found none");
  const auto sizes = found->second.sizes();
  check(sizes.size() == dims, "backbone.", name, ": expected ", dims, " dimensions, got ", sizes);
  return sizes;
}

int64_t Shapes::count(const std::string& beginning) const {
  int64_t number = 0;
  const auto named = [&](int64_t i) {
    const auto text = concat("backbone.", beginning, i, ".");
    const auto found = weights_.tensors.lower_bound(text);
    return found != weights_.tensors.end() && found->first.rfind(text, 0) == 0;
  };
  // Names are sorted: the first one not below the text begins with it, or none does.
  while (named(number)) ++number;
  return number;
}

int64_t grid_side(const Shapes& shapes, int64_t cells) {
  const auto side = square_side(cells);
  shapes.check(side > 0, "backbone: expected positions in a square, got ", cells);
  return side;
}

BackboneOptions infer_patches(const Shapes& shapes) {
  const auto patch = shapes.of("patch_embed.proj.weight", 4);
  shapes.check(patch[0] > 0 && patch[1] == 3 && patch[2] > 0 && patch[2] == patch[3],
               "backbone.patch_embed.proj.weight: expected [D, 3, P, P], got ", patch);
  BackboneOptions options;
  options.embed_dim = patch[0];
  options.patch_size = patch[2];
  return options;
}

double mlp_ratio(int64_t hidden, int64_t width) {
  const auto ratio = static_cast<double>(hidden) / static_cast<double>(width);
  // The hidden width is truncated from ratio * width: a ratio rounded down would give one less.
  const bool low = static_cast<int64_t>(ratio * static_cast<double>(width)) < hidden;
  return low ? std::nextafter(ratio, 2 * ratio) : ratio;
}

}  // namespace ibot::models
