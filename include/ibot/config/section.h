// The keys of a configuration as data, independent of the struct that holds them.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "ibot/base/enum_names.h"
#include "ibot/base/fields.h"

namespace ibot::config {

/// An enumerator that can be read and set by name.
struct EnumSlot {
  std::vector<std::string> choices;
  std::function<std::string()> name;
  /// Sets the enumerator of that name; false if there is none.
  std::function<bool(const std::string& name)> assign;
};

/// Pointer to the value of a key; one alternative for each type that is_field_type admits.
using FieldSlot = std::variant<bool*, int64_t*, double*, std::string*, std::vector<int64_t>*,
                               std::vector<double>*, std::vector<std::string>*,
                               std::array<double, 2>*, std::array<double, 3>*, EnumSlot>;

/// One key: `name` within its section, description, value, and whether the value changes results.
struct Field {
  std::string name;
  std::string text;
  FieldSlot slot;
  Effect effect = Effect::kResult;
};

struct Section {
  std::string name;
  std::vector<Field> fields;
};

using Sections = std::vector<Section>;

template <class T>
FieldSlot slot_of(T& value) {
  static_assert(is_field_type<T>);
  if constexpr (std::is_enum_v<T>) {
    EnumSlot slot;
    for (const auto& [enumerator, name] : EnumNames<T>::values) slot.choices.emplace_back(name);
    slot.name = [&value] { return std::string(enum_name(value)); };
    slot.assign = [&value](const std::string& name) { return parse_enum(name, value); };
    return slot;
  } else {
    return &value;
  }
}

/// The keys of a struct of option structs, in order. The result points into `config`, which has a
/// member template `sections(visitor)` like RunConfig's.
template <class Config>
Sections sections_of(Config& config) {
  Sections sections;
  config.sections([&](const char* name, auto& options) {
    Section& section = sections.emplace_back(Section{name, {}});
    options.fields(
        [&](const char* key, auto& value, const char* text, Effect effect = Effect::kResult) {
          section.fields.push_back({key, text, slot_of(value), effect});
        });
  });
  return sections;
}

}  // namespace ibot::config
