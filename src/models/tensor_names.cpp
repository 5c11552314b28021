#include "models/tensor_names.h"

#include <string_view>

#include "models/architecture_parts.h"

namespace ibot::models {
namespace {

constexpr std::string_view kMaskToken = "masked_embed";

bool remove_prefix(std::string& name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return false;
  name.erase(0, prefix.size());
  return true;
}

}  // namespace

std::optional<std::string> own_name(std::string name) {
  // Wrappers may be nested in any order, as in module.backbone._orig_mod.
  bool in_backbone = false;
  for (bool wrapped = true; wrapped;) {
    wrapped = remove_prefix(name, "module.") || remove_prefix(name, "_orig_mod.");
    if (remove_prefix(name, "backbone.") || remove_prefix(name, "encoder.")) {
      wrapped = in_backbone = true;
    }
  }
  // Inside of a backbone, head.… is another program's classifier.
  if (!in_backbone && starts_with_any(name, {"head.mlp", "head.last_layer"})) {
    // weight_norm of PyTorch 2 and of PyTorch 1.
    replace(name, "parametrizations.weight.original0", "weight_g");
    replace(name, "parametrizations.weight.original1", "weight_v");
    return name;
  }
  if (name == kMaskToken || name == "mask_token") return concat("backbone.", kMaskToken);
  for (const auto& one : architectures()) {
    if (starts_with_any(name, one.structure) || starts_with_any(name, one.extras)) {
      return "backbone." + one.own_name(name);
    }
  }
  return std::nullopt;
}

std::map<std::string, torch::Tensor> timm_tensors(std::map<std::string, torch::Tensor> tensors) {
  for (const auto& one : architectures()) one.timm_layout(tensors);
  std::map<std::string, torch::Tensor> renamed;
  for (const auto& [own, tensor] : tensors) {
    // timm has no mask token and computes what is derived.
    if (own == kMaskToken || is_derived(own)) continue;
    auto name = own;
    for (const auto& one : architectures()) name = one.timm_name(name);
    renamed[name] = tensor;
  }
  return renamed;
}

}  // namespace ibot::models
