// Labels as the texts that come with samples of shards.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ibot::data {

/// Texts longer than this are no label.
inline constexpr uint64_t kMaxLabelText = 256;

/// The number that Python's int() makes of the text: white space around it, a sign, single
/// underscores between digits, decimal digits of any script. Nothing where int() refuses the text;
/// what 64 bits cannot hold becomes their largest or smallest number.
std::optional<int64_t> python_int(std::string_view text);

/// The name that the text is, without white space around it: one line of UTF-8 without control
/// characters. Nothing where it is none.
std::optional<std::string> class_word(std::string_view text);

}  // namespace ibot::data
