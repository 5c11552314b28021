#include "ibot/models/architecture.h"

#include <algorithm>
#include <set>

#include "ibot/base/option_text.h"

namespace ibot::models {

// Each in its own file. A new architecture adds such a file, and its function here and to the list
// below; the contract test then runs over its samples.
Architecture vit_architecture();
Architecture swin_architecture();

const std::vector<Architecture>& architectures() {
  static const std::vector<Architecture> rows{vit_architecture(), swin_architecture()};
  return rows;
}

const Architecture& architecture_of(const std::string& arch) {
  std::string known;
  for (const auto& architecture : architectures()) {
    std::set<std::string> names;
    for (const auto& preset : architecture.presets) names.insert(preset.name);
    if (names.count(arch) > 0) return architecture;
    for (const auto& name : names) known += (known.empty() ? "" : ", ") + name;
  }
  throw OptionError("arch", concat("expected one of ", known, "; got ", arch));
}

void check_keys(const BackboneOptions& options) {
  const auto& own = architecture_of(options.arch);
  // An option of another architecture has to keep its default: it would be ignored.
  const auto defaults = result_texts("", BackboneOptions());
  const auto values = result_texts("", options);
  for (const auto& other : architectures()) {
    if (&other == &own) continue;
    for (const auto key : other.own_keys) {
      if (std::count(own.own_keys.begin(), own.own_keys.end(), key) > 0) continue;
      const auto name = concat(".", key);
      check_option(values.at(name) == defaults.at(name), std::string(key).c_str(), "expected ",
                   defaults.at(name), " with ", options.arch, ", got ", values.at(name));
    }
  }
}

const Preset* find_preset(const std::string& arch) {
  for (const auto& architecture : architectures()) {
    for (const auto& preset : architecture.presets) {
      if (preset.name == arch) return &preset;
    }
  }
  return nullptr;
}

const OwnParameter* own_parameter(std::string_view name) {
  const auto dot = name.rfind('.');
  // Bias tables belong to each block: the last part of a name tells.
  const auto last = name.substr(dot == std::string_view::npos ? 0 : dot + 1);
  for (const auto& architecture : architectures()) {
    for (const auto& parameter : architecture.parameters) {
      if (parameter.name == last) return &parameter;
    }
  }
  return nullptr;
}

int64_t layer_of(const BackboneOptions& options, std::string name) {
  constexpr std::string_view kPrefix = "backbone.";
  if (name.starts_with(kPrefix)) name.erase(0, kPrefix.size());
  const auto& architecture = architecture_of(options.arch);
  // Whatever the architecture does not place is above all blocks: final norm and head.
  return architecture.layer(options, name).value_or(architecture.blocks(options) + 1);
}

int64_t output_width(const BackboneOptions& options) {
  check_keys(options);
  return architecture_of(options.arch).output_width(options);
}

int64_t token_pixels(const BackboneOptions& options) {
  return architecture_of(options.arch).token_pixels(options);
}

}  // namespace ibot::models
