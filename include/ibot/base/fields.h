// Option structs: aggregates that list their fields once.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

namespace ibot {

/// Whether a key changes results. kNone: it sets only paths, logging intervals or speed, so what
/// was computed under another value remains valid.
enum class Effect { kResult, kNone };

/// Types of option members; enums need EnumNames. An options struct has defaults, a member template
/// `fields(visitor)` that calls `field(name, member, text)` once per member in order, with a fourth
/// argument Effect::kNone for members that change no result, and `void validate() const`, which
/// throws OptionError. Members of both kinds stand under two headings, what affects results and
/// what does not. Reading, writing, overrides and explanations are visitors over that one list.
template <class T>
inline constexpr bool is_field_type =
    std::is_enum_v<T> || std::is_same_v<T, bool> || std::is_same_v<T, int64_t> ||
    std::is_same_v<T, double> || std::is_same_v<T, std::string> ||
    std::is_same_v<T, std::vector<int64_t>> || std::is_same_v<T, std::vector<double>> ||
    std::is_same_v<T, std::vector<std::string>> || std::is_same_v<T, std::array<double, 2>> ||
    std::is_same_v<T, std::array<double, 3>>;

}  // namespace ibot
