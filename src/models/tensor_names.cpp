#include "models/tensor_names.h"

#include <cctype>
#include <initializer_list>
#include <utility>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/models/weights.h"

namespace ibot::models {
namespace {

constexpr std::string_view kStage = "layers.";
constexpr std::string_view kDownsample = ".downsample.";

bool starts_with_any(std::string_view name, std::initializer_list<std::string_view> beginnings) {
  for (const auto beginning : beginnings) {
    if (name.starts_with(beginning)) return true;
  }
  return false;
}

bool remove_prefix(std::string& name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return false;
  name.erase(0, prefix.size());
  return true;
}

void replace(std::string& name, std::string_view from, std::string_view to) {
  const auto at = name.find(from);
  if (at != std::string::npos) name.replace(at, from.size(), to);
}

/// Digits and a dot from `at` on: how many letters, 0 where there are none.
size_t number_at(const std::string& name, size_t at) {
  size_t end = at;
  while (end < name.size() && std::isdigit(static_cast<unsigned char>(name[end])) != 0) ++end;
  return end > at && end < name.size() && name[end] == '.' ? end + 1 - at : 0;
}

/// DINOv2 trains blocks in chunks, `blocks.1.10.norm1.weight`; the second number counts all blocks.
void remove_chunk(std::string& name) {
  constexpr std::string_view kBlocks = "blocks.";
  if (!name.starts_with(kBlocks)) return;
  const auto chunk = number_at(name, kBlocks.size());
  if (chunk > 0 && number_at(name, kBlocks.size() + chunk) > 0) name.erase(kBlocks.size(), chunk);
}

/// "layers.1.downsample.norm.weight" of stage 1 as that of stage 1 + `by`.
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

}  // namespace

std::optional<std::string> own_name(std::string name) {
  bool in_backbone = false;
  for (bool wrapped = true; wrapped;) {
    wrapped = remove_prefix(name, "module.") || remove_prefix(name, "_orig_mod.");
    if (remove_prefix(name, "backbone.") || remove_prefix(name, "encoder.")) {
      wrapped = in_backbone = true;
    }
  }
  if (!in_backbone && starts_with_any(name, {"head.mlp", "head.last_layer"})) {
    replace(name, "parametrizations.weight.original0", "weight_g");
    replace(name, "parametrizations.weight.original1", "weight_v");
    return name;
  }
  if (!starts_with_any(
          name, {"cls_token", "pos_embed", "masked_embed", "mask_token", "patch_embed.", "blocks.",
                 "layers.", "norm.", "norm_pre.", "fc_norm.", "reg_token", "register_tokens"})) {
    return std::nullopt;
  }
  remove_chunk(name);
  replace(name, "ls1.gamma", "gamma_1");
  replace(name, "ls2.gamma", "gamma_2");
  if (name == "mask_token") name = "masked_embed";
  return "backbone." + name;
}

void restore_downsampling(std::map<std::string, torch::Tensor>& tensors) {
  const auto prefix = concat("backbone.", kStage);
  std::vector<std::string> names;
  bool first = false;
  for (const auto& [name, tensor] : tensors) {
    if (!name.starts_with(prefix) || !is_downsampling(name, prefix.size())) continue;
    first |= name.starts_with(concat(prefix, 0, kDownsample));
    names.push_back(name);
  }
  if (first) return;
  // In ascending order: each takes the place that the one before has left.
  for (const auto& name : names) {
    auto entry = tensors.extract(name);
    entry.key() = moved(name, prefix.size(), -1);
    tensors.insert(std::move(entry));
  }
}

std::string timm_name(std::string name) {
  replace(name, ".gamma_1", ".ls1.gamma");
  replace(name, ".gamma_2", ".ls2.gamma");
  const bool moves = name.starts_with(kStage) && is_downsampling(name, kStage.size());
  return moves ? moved(name, kStage.size(), 1) : name;
}

}  // namespace ibot::models
