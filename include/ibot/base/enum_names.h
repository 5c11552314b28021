// Names of enumerators, as configurations spell them.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace ibot {

/// Specialize with `static constexpr std::array<std::pair<E, std::string_view>, n> values`.
template <class E>
struct EnumNames;

/// The name of `value`; empty when it has none.
template <class E>
constexpr std::string_view enum_name(E value) {
  for (const auto& [candidate, name] : EnumNames<E>::values) {
    if (candidate == value) return name;
  }
  return {};
}

/// Finds the enumerator called `name`; false when there is none.
template <class E>
constexpr bool parse_enum(std::string_view name, E& value) {
  for (const auto& [candidate, known] : EnumNames<E>::values) {
    if (known == name) {
      value = candidate;
      return true;
    }
  }
  return false;
}

/// All names, as in "block | rand".
template <class E>
std::string enum_choices() {
  std::string choices;
  for (const auto& [candidate, name] : EnumNames<E>::values) {
    if (!choices.empty()) choices += " | ";
    choices += name;
  }
  return choices;
}

}  // namespace ibot
