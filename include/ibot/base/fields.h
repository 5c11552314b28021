// What an options struct is: an aggregate that lists its fields once.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

namespace ibot {

/// What a key decides: results, or only where data lie, how often something is written and how fast
/// it goes. What was computed under other values of the latter is as good.
enum class Effect { kResult, kNone };

/// An options struct has defaults, a member template `fields(visitor)` that calls
/// `field(name, member, text)` once for each member in order, with Effect::kNone behind the text of
/// one that changes no result, and `void validate() const`, which
/// throws OptionError. Members are of the types below, or enums with EnumNames. Reading, writing,
/// overrides and explanations are visitors over that one list.
template <class T>
inline constexpr bool is_field_type =
    std::is_enum_v<T> || std::is_same_v<T, bool> || std::is_same_v<T, int64_t> ||
    std::is_same_v<T, double> || std::is_same_v<T, std::string> ||
    std::is_same_v<T, std::vector<int64_t>> || std::is_same_v<T, std::vector<double>> ||
    std::is_same_v<T, std::vector<std::string>> || std::is_same_v<T, std::array<double, 2>> ||
    std::is_same_v<T, std::array<double, 3>>;

}  // namespace ibot
