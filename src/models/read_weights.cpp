#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "ibot/base/error.h"
#include "ibot/io/file.h"
#include "ibot/io/safetensors.h"
#include "ibot/io/torch_file.h"
#include "ibot/models/architecture.h"
#include "ibot/models/weights.h"
#include "models/tensor_names.h"

namespace ibot::models {
namespace {

/// Keys under which other programs keep the network, in the order in which they are tried.
constexpr std::initializer_list<const char*> kWrappers{"state_dict", "model", "module"};
constexpr size_t kShownKeys = 8;

using Tensors = std::map<std::string, torch::Tensor>;

/// A file may hold both networks; one is never substituted for the other.
bool is_side(std::string_view key) { return key == "student" || key == "teacher"; }

void add(Weights& weights, const std::string& name, const torch::Tensor& tensor) {
  const auto own = own_name(name);
  if (!own) {
    weights.others.push_back(name);
    return;
  }
  const auto check = [&](bool ok, const auto&... parts) {
    IBOT_CHECK_AS(CheckpointError, ok, weights.source, ": ", name, ": ", parts...);
  };
  check(!tensor.is_complex(), "expected real numbers, got complex ones");
  check(weights.tensors.emplace(*own, tensor).second, "two tensors are called ", *own);
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size() && i < kShownKeys; ++i) {
    text += (i > 0 ? ", " : "") + names[i];
  }
  return names.size() > kShownKeys ? concat(text, " and ", names.size() - kShownKeys, " more")
                                   : text;
}

/// Prefixes before names of our networks among other tensors: "net" of "net.norm.weight".
std::vector<std::string> prefixes_in(const std::vector<std::string>& names) {
  std::set<std::string> prefixes;
  for (const auto& name : names) {
    for (auto dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1)) {
      if (own_name(name.substr(dot + 1))) {
        prefixes.insert(name.substr(0, dot));
        break;
      }
    }
  }
  return {prefixes.begin(), prefixes.end()};
}

/// Keys whose dict contains tensors of a network.
std::vector<std::string> networks_in(const io::Dict& root) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : root.items) {
    if (key.text() == nullptr || value.dict() == nullptr) continue;
    const auto& items = value.dict()->items;
    const bool holds = std::any_of(items.begin(), items.end(), [](const auto& item) {
      return item.first.text() != nullptr && item.second.tensor() != nullptr &&
             own_name(*item.first.text());
    });
    if (holds) keys.push_back(*key.text());
  }
  return keys;
}

/// "; the file has keys …; name the network's with --key: …", as far as known.
std::string key_hint(const std::vector<std::string>& keys,
                     const std::vector<std::string>& networks) {
  std::string text;
  if (!keys.empty()) text += "; the file has keys " + joined(keys);
  if (!networks.empty()) text += "; name the network's with --key: " + joined(networks);
  return text;
}

std::vector<std::string> keys_of(const io::Dict& root) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : root.items) {
    if (key.text() != nullptr && value.tensor() == nullptr) keys.push_back(*key.text());
  }
  return keys;
}

Weights checked(Weights weights, const std::vector<std::string>& keys,
                std::vector<std::string> networks) {
  if (networks.empty()) networks = prefixes_in(weights.others);
  IBOT_CHECK_AS(CheckpointError, !weights.tensors.empty(), weights.source,
                ": expected tensors of a backbone or a projection head, found none",
                weights.others.empty() ? "" : " but such as " + weights.others.front(),
                key_hint(keys, networks));
  // Other programs' layouts become ours before any shape is looked at.
  for (const auto& one : architectures()) one.restore_layout(weights.tensors);
  return weights;
}

[[noreturn]] void refuse_key(const std::string& source, const std::string& key,
                             const std::string& hint) {
  throw CheckpointError(concat(source, ": expected the network ", key, ", found none",
                               is_side(key) ? "; choose the other network" : hint));
}

/// Tensors whose names begin with the key, without that prefix; all if the file has no such parts.
Weights weights_of_names(Weights weights, const Tensors& tensors, const std::string& key) {
  const auto prefix = key + ".";
  const auto first = tensors.lower_bound(prefix);
  const bool has_parts = first != tensors.end() && first->first.starts_with(prefix);
  weights.key = has_parts ? key : "";
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors) names.push_back(name);
  if (!has_parts && !is_side(key))
    refuse_key(weights.source, key, key_hint({}, prefixes_in(names)));
  for (const auto& [name, tensor] : tensors) {
    // The file holds only the other network.
    if (!has_parts && is_side(name.substr(0, name.find('.')))) refuse_key(weights.source, key, "");
    if (!has_parts) add(weights, name, tensor);
    if (has_parts && name.starts_with(prefix)) add(weights, name.substr(prefix.size()), tensor);
  }
  return checked(std::move(weights), {}, {});
}

Weights read_safetensors_weights(const std::filesystem::path& path, const std::string& key) {
  const auto weights_of = [&](io::Safetensors content, const std::string& found) {
    Weights weights{
        .source = path.string(), .format = "safetensors", .config = content.metadata["config"]};
    return weights_of_names(std::move(weights), content.tensors, found);
  };
  // A checkpoint of another task holds one network, under a wrapper's name.
  std::vector<std::string> keys{key};
  if (is_side(key)) keys.insert(keys.end(), kWrappers.begin(), kWrappers.end());
  for (const auto& one : keys) {
    // Only the tensors of the network: a checkpoint also holds the other one and the moments.
    auto content = io::read_safetensors(path, one + ".");
    if (!content.tensors.empty()) return weights_of(std::move(content), one);
  }
  return weights_of(io::read_safetensors(path), key);
}

/// The tensors of one shard: a safetensors file, or a .bin of torch.save.
Tensors read_shard(const std::filesystem::path& path) {
  if (!io::is_torch_file(path)) return io::read_safetensors(path).tensors;
  Tensors tensors;
  const auto root = io::read_torch_file(path).root;
  IBOT_CHECK_AS(CheckpointError, root.dict() != nullptr, path.string(),
                ": expected a dict of tensors, got ", io::kind_of(root));
  for (const auto& [name, value] : root.dict()->items) {
    if (name.text() != nullptr && value.tensor() != nullptr)
      tensors[*name.text()] = *value.tensor();
  }
  return tensors;
}

/// Names of the shards that an index lists: files in its folder.
std::set<std::string> shards_of(const std::filesystem::path& index) {
  const auto json =
      nlohmann::json::parse(io::read_file(index), nullptr, /*allow_exceptions=*/false);
  std::set<std::string> names;
  if (json.is_object() && json.contains("weight_map") && json["weight_map"].is_object()) {
    for (const auto& [tensor, shard] : json["weight_map"].items()) {
      IBOT_CHECK_AS(
          CheckpointError,
          // A downloaded index must not name files elsewhere on the machine.
          shard.is_string() && !std::filesystem::path(shard.get<std::string>()).has_parent_path(),
          index.string(), ": ", tensor, ": expected the name of a file next to the index");
      names.insert(shard.get<std::string>());
    }
  }
  IBOT_CHECK_AS(CheckpointError, !names.empty(), index.string(),
                ": expected weights, got a JSON index without shards; name the file of weights");
  return names;
}

Weights read_shards(const std::filesystem::path& index, const std::string& key) {
  Tensors tensors;
  for (const auto& name : shards_of(index)) {
    const auto path = index.parent_path() / name;
    IBOT_CHECK_AS(CheckpointError, std::filesystem::is_regular_file(path), index.string(),
                  ": expected its shard ", name, " next to it, found none; download it too");
    for (auto& [tensor_name, tensor] : read_shard(path)) {
      IBOT_CHECK_AS(CheckpointError, tensors.emplace(tensor_name, tensor).second, path.string(),
                    ": ", tensor_name, " is in another shard too");
    }
  }
  return weights_of_names({.source = index.string(), .format = "shards"}, tensors, key);
}

/// The dict under `key`, or the dict that it wraps.
const io::Dict* part_of(const io::Dict& dict, const std::string& key) {
  const auto* found = dict.find(key);
  if (found == nullptr || found->dict() == nullptr) return nullptr;
  const auto& items = found->dict()->items;
  const bool has_tensors = std::any_of(
      items.begin(), items.end(), [](const auto& item) { return item.second.tensor() != nullptr; });
  for (const char* wrapper : kWrappers) {
    const auto* inner = found->dict()->find(wrapper);
    // A dict with tensors of its own is the network, whatever else it holds.
    if (!has_tensors && inner != nullptr && inner->dict() != nullptr) return inner->dict();
  }
  return found->dict();
}

/// The dict of tensors in a .pth, and its key.
struct Section {
  std::string key;
  const io::Dict* tensors = nullptr;
};

Section section(const io::Dict& root, const std::string& source, const std::string& key) {
  if (const auto* part = part_of(root, key)) return {key, part};
  if (is_side(key) && (root.find("student") != nullptr || root.find("teacher") != nullptr)) {
    refuse_key(source, key, "");
  }
  for (const char* wrapper : kWrappers) {
    if (const auto* part = part_of(root, wrapper)) return {wrapper, part};
  }
  return {"", &root};
}

/// The value as YAML; values other than scalars and lists as "<kind>".
std::string yaml_text(const io::Value& value) {
  if (const auto flag = value.boolean()) return *flag ? "true" : "false";
  if (const auto whole = value.integer()) return std::to_string(*whole);
  if (const auto number = value.number()) {
    std::ostringstream text;
    // 17 digits restore every double exactly.
    text.precision(17);
    text << *number;
    return text.str();
  }
  if (value.text() != nullptr) return *value.text();
  if (value.list() == nullptr) return "<" + io::kind_of(value) + ">";
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

/// The configuration in a checkpoint that we wrote in the official format.
std::string own_config(const io::Dict& root) {
  const auto* own = root.find("ibot");
  const auto* config =
      own == nullptr || own->dict() == nullptr ? nullptr : own->dict()->find("config");
  return config == nullptr || config->text() == nullptr ? "" : *config->text();
}

/// The section's tensors by name. A network tensor that could not be read (sparse, quantized) is an
/// error here: later it would be reported as missing, without the reason.
Tensors dense_tensors(const io::Dict& section, const std::string& source) {
  Tensors tensors;
  for (const auto& [name, value] : section.items) {
    if (name.text() == nullptr) continue;
    IBOT_CHECK_AS(CheckpointError, value.opaque() == nullptr || !own_name(*name.text()), source,
                  ": ", *name.text(), ": expected a dense tensor, got ", io::kind_of(value));
    if (value.tensor() != nullptr) tensors[*name.text()] = *value.tensor();
  }
  return tensors;
}

}  // namespace

bool is_shard_index(const std::filesystem::path& path) { return path.extension() == ".json"; }

Weights read_weights(const std::filesystem::path& path, const std::string& key) {
  if (is_shard_index(path)) return read_shards(path, key);
  if (!io::is_torch_file(path)) return read_safetensors_weights(path, key);
  const auto file = io::read_torch_file(path);
  auto weights = weights_of(file.root, path.string(), key);
  weights.format = file.format == io::TorchFormat::kZip ? "pth (zip)" : "pth (legacy)";
  return weights;
}

Weights weights_of(const io::Value& root, const std::string& source, const std::string& key) {
  IBOT_CHECK_AS(CheckpointError, root.dict() != nullptr, source,
                ": expected a dict of tensors, got ", io::kind_of(root));
  const auto& dict = *root.dict();
  const auto keys = keys_of(dict);
  const auto networks = networks_in(dict);
  const auto [name, part] = section(dict, source, key);
  const auto tensors = dense_tensors(*part, source);
  Weights weights{.source = source, .format = "pth", .key = name, .config = own_config(dict)};
  weights.arguments = official_arguments(dict);
  // The key is none of the dict's: it may be a prefix of the tensors' names.
  if (name != key && !is_side(key)) {
    if (!std::any_of(tensors.begin(), tensors.end(),
                     [&](const auto& item) { return item.first.starts_with(key + "."); })) {
      refuse_key(source, key, key_hint(keys, networks));
    }
    return weights_of_names(std::move(weights), tensors, key);
  }
  for (const auto& [tensor_name, tensor] : tensors) add(weights, tensor_name, tensor);
  return checked(std::move(weights), keys, networks);
}

}  // namespace ibot::models
