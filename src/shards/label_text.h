// Labels given as text with the samples of shards.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ibot::data {

/// Longer texts are not labels.
inline constexpr uint64_t kMaxLabelText = 256;

/// The text as parsed by Python's int(): surrounding white space, a sign, single underscores
/// between digits, decimal digits of any script. nullopt if int() would refuse it; saturates at the
/// range of 64 bits.
std::optional<int64_t> python_int(std::string_view text);

/// The text as a class name, without surrounding white space: one line of UTF-8 without control
/// characters; otherwise nullopt.
std::optional<std::string> class_word(std::string_view text);

}  // namespace ibot::data
