#include "ibot/models/weights.h"

#include <initializer_list>
#include <optional>
#include <set>

#include "ibot/base/error.h"
#include "ibot/io/safetensors.h"
#include "ibot/io/torch_file.h"
#include "ibot/models/network.h"
#include "ibot/models/resize_weights.h"

namespace ibot::models {
namespace {

constexpr const char* kMaskToken = "backbone.masked_embed";

bool ends_with(std::string_view name, std::string_view ending) {
  return name.size() >= ending.size() && name.substr(name.size() - ending.size()) == ending;
}

bool starts_with_any(std::string_view name, std::initializer_list<std::string_view> beginnings) {
  for (const auto beginning : beginnings) {
    if (name.substr(0, beginning.size()) == beginning) return true;
  }
  return false;
}

bool remove_prefix(std::string& name, std::string_view prefix) {
  if (!starts_with_any(name, {prefix})) return false;
  name.erase(0, prefix.size());
  return true;
}

void replace(std::string& name, std::string_view from, std::string_view to) {
  const auto at = name.find(from);
  if (at != std::string::npos) name.replace(at, from.size(), to);
}

/// Our name of a tensor; none where it belongs to no backbone and no projection head.
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
  replace(name, "ls1.gamma", "gamma_1");
  replace(name, "ls2.gamma", "gamma_2");
  if (name == "mask_token") name = "masked_embed";
  return "backbone." + name;
}

void add(Weights& weights, const std::string& name, const torch::Tensor& tensor) {
  const auto own = own_name(name);
  if (!own) {
    weights.others.push_back(name);
    return;
  }
  IBOT_CHECK_AS(CheckpointError, *own != "backbone.register_tokens" && *own != "backbone.reg_token",
                weights.source, ": ", name,
                ": expected a backbone without register tokens; choose weights without them");
  IBOT_CHECK_AS(CheckpointError, weights.tensors.emplace(*own, tensor).second, weights.source, ": ",
                name, ": two tensors are called ", *own);
}

Weights checked(Weights weights) {
  IBOT_CHECK_AS(CheckpointError, !weights.tensors.empty(), weights.source,
                ": expected tensors of a backbone or a projection head, found none",
                weights.others.empty() ? "" : " but such as " + weights.others.front());
  return weights;
}

[[noreturn]] void refuse_key(const std::string& source, const std::string& key) {
  throw CheckpointError(
      concat(source, ": expected the network ", key, ", found none; choose the other network"));
}

Weights read_safetensors_weights(const std::filesystem::path& path, const std::string& key) {
  Weights weights{.source = path.string(), .format = "safetensors", .key = key};
  auto content = io::read_safetensors(path, key + ".");
  const bool has_parts = !content.tensors.empty();
  if (!has_parts) {
    content = io::read_safetensors(path);
    weights.key.clear();
  }
  for (const auto& [name, tensor] : content.tensors) {
    if (!has_parts && starts_with_any(name, {"student.", "teacher."})) {
      refuse_key(weights.source, key);
    }
    add(weights, has_parts ? name.substr(key.size() + 1) : name, tensor);
  }
  weights.config = content.metadata["config"];
  return checked(std::move(weights));
}

/// The dict of tensors in a .pth, and its key.
std::pair<std::string, const io::Dict*> section(const io::Dict& root, const std::string& source,
                                                const std::string& key) {
  for (const auto& name :
       {key, std::string("state_dict"), std::string("model"), std::string("module")}) {
    const auto* found = root.find(name);
    if (found != nullptr && found->dict() != nullptr) return {name, found->dict()};
  }
  if (root.find("student") != nullptr || root.find("teacher") != nullptr) refuse_key(source, key);
  return {"", &root};
}

/// As YAML has it; empty for what is none of its scalars and lists.
std::string yaml_text(const io::Value& value) {
  if (const auto flag = value.boolean()) return *flag ? "true" : "false";
  if (const auto whole = value.integer()) return std::to_string(*whole);
  if (const auto number = value.number()) {
    std::ostringstream text;
    text.precision(17);
    text << *number;
    return text.str();
  }
  if (value.text() != nullptr) return *value.text();
  if (value.list() == nullptr) return {};
  std::string text;
  for (const auto& item : value.list()->items) text += (text.empty() ? "" : ", ") + yaml_text(item);
  return "[" + text + "]";
}

std::map<std::string, std::string> official_arguments(const io::Dict& root) {
  std::map<std::string, std::string> arguments;
  const auto* stored = root.find("args");
  if (stored == nullptr || stored->dict() == nullptr) return arguments;
  for (const auto& [name, value] : stored->dict()->items) {
    if (name.text() != nullptr && !value.is_none()) arguments[*name.text()] = yaml_text(value);
  }
  return arguments;
}

/// The layers of the file's backbone that the module lacks make it another architecture.
void check_unused(const Weights& weights, const std::string& name) {
  const bool structural =
      starts_with_any(name, {"backbone.blocks.", "backbone.layers.", "backbone.patch_embed.",
                             "backbone.norm_pre.", "backbone.pos_embed", "backbone.cls_token"});
  IBOT_CHECK_AS(CheckpointError, !structural, weights.source, ": ", name,
                ": expected a tensor of this backbone; the file holds another architecture");
}

torch::Tensor fitted(const Weights& weights, const std::string& name, const torch::Tensor& stored,
                     at::IntArrayRef wanted) {
  if (stored.sizes() == wanted) return stored;
  const auto resized = resize_weight(name, stored, wanted);
  IBOT_CHECK_AS(CheckpointError, resized.defined(), weights.source, ": ", name, ": expected shape ",
                wanted, ", got ", stored.sizes());
  return resized;
}

std::string listed(const std::vector<std::string>& names) {
  constexpr size_t kShown = 4;
  std::string text;
  for (size_t i = 0; i < names.size() && i < kShown; ++i) text += (i > 0 ? ", " : "") + names[i];
  if (names.size() > kShown) text += concat(" and ", names.size() - kShown, " more");
  return text;
}

}  // namespace

bool is_derived(std::string_view name) {
  return ends_with(name, "relative_position_index") || ends_with(name, "attn_mask");
}

Weights read_weights(const std::filesystem::path& path, const std::string& key) {
  if (!io::is_torch_file(path)) return read_safetensors_weights(path, key);
  const auto file = io::read_torch_file(path);
  auto weights = weights_of(file.root, path.string(), key);
  weights.format = file.format == io::TorchFormat::kZip ? "pth (zip)" : "pth (legacy)";
  return weights;
}

Weights weights_of(const io::Value& root, const std::string& source, const std::string& key) {
  IBOT_CHECK_AS(CheckpointError, root.dict() != nullptr, source,
                ": expected a dict of tensors, got another value");
  const auto [name, tensors] = section(*root.dict(), source, key);
  Weights weights{.source = source, .format = "pth", .key = name};
  for (const auto& [item, value] : tensors->items) {
    if (item.text() != nullptr && value.tensor() != nullptr)
      add(weights, *item.text(), *value.tensor());
  }
  weights.arguments = official_arguments(*root.dict());
  const auto* own = root.dict()->find("ibot");
  const auto* config =
      own != nullptr && own->dict() != nullptr ? own->dict()->find("config") : nullptr;
  if (config != nullptr && config->text() != nullptr) weights.config = *config->text();
  return checked(std::move(weights));
}

LoadReport load_weights_(torch::nn::Module& module, const Weights& weights,
                         const std::string& prefix) {
  const torch::NoGradGuard no_grad;
  LoadReport report;
  std::vector<std::pair<torch::Tensor, torch::Tensor>> copies;
  std::set<const void*> used;
  std::set<std::string> own;
  for (const auto& [short_name, tensor] : named_state(module)) {
    const auto name = prefix + short_name;
    if (is_derived(name)) continue;
    own.insert(name);
    const auto stored = weights.tensors.find(name);
    if (stored == weights.tensors.end()) {
      IBOT_CHECK_AS(CheckpointError, !starts_with_any(name, {"backbone."}) || name == kMaskToken,
                    weights.source, ": expected tensor ", name, ", found none");
      report.missing.push_back(name);
      continue;
    }
    const auto value = fitted(weights, name, stored->second, tensor.sizes());
    if (!value.is_same(stored->second)) report.resized.push_back(name);
    report.loaded.push_back(name);
    used.insert(stored->second.const_data_ptr());
    copies.emplace_back(tensor, value);
  }
  for (const auto& [name, tensor] : weights.tensors) {
    // A layer that the file keeps under two names is used under either.
    if (name.rfind(prefix, 0) != 0 || own.count(name) > 0 || is_derived(name) ||
        used.count(tensor.const_data_ptr()) > 0)
      continue;
    check_unused(weights, name);
    report.unused.push_back(name);
  }
  report.unused.insert(report.unused.end(), weights.others.begin(), weights.others.end());
  IBOT_CHECK_AS(CheckpointError, !copies.empty(), weights.source,
                ": expected tensors of this network, found none of their names");
  for (auto& [to, from] : copies) to.copy_(from);
  return report;
}

std::string summary(const LoadReport& report) {
  std::string text = concat(report.loaded.size(), " tensors loaded");
  if (!report.resized.empty()) {
    text += concat(", ", report.resized.size(), " of them resized (", listed(report.resized), ")");
  }
  if (!report.missing.empty()) text += "; missing: " + listed(report.missing);
  if (!report.unused.empty()) text += "; unused: " + listed(report.unused);
  return text;
}

}  // namespace ibot::models
