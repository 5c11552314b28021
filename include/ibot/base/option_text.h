// Options as text: one spelling for configuration files and for the identity of a result.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "ibot/base/enum_names.h"
#include "ibot/base/fields.h"

namespace ibot {

/// A value as one line of YAML that parses back to the same value, doubles bit for bit.
std::string option_text(bool value);
std::string option_text(int64_t value);
std::string option_text(double value);
std::string option_text(const std::string& text);
std::string option_text(const std::vector<int64_t>& values);
std::string option_text(const std::vector<double>& values);
std::string option_text(const std::vector<std::string>& values);
std::string option_text(const std::array<double, 2>& values);
std::string option_text(const std::array<double, 3>& values);

/// An enumerator by its name.
template <class Enum>
requires std::is_enum_v<Enum> std::string option_text(Enum value) {
  return option_text(std::string(enum_name(value)));
}

/// The values of all keys that change results, keyed by "section.key".
template <class Options>
std::map<std::string, std::string> result_texts(const std::string& section, Options options) {
  std::map<std::string, std::string> texts;
  options.fields(
      [&](const char* key, auto& value, const char* /*text*/, Effect effect = Effect::kResult) {
        if (effect == Effect::kResult) texts.emplace(section + "." + key, option_text(value));
      });
  return texts;
}

}  // namespace ibot
