// Suggestions for misspelled words.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ibot::config {

/// Minimum number of insertions, deletions, substitutions and swaps of adjacent letters that turn
/// one word into the other.
///
/// Source: Damerau 1964, in the form that edits no part twice (optimal string alignment).
size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate nearest to `word`, the first of several; nullopt if the distance exceeds a third
/// of the word's length (at least one letter).
std::optional<std::string> nearest(std::string_view word,
                                   const std::vector<std::string>& candidates);

}  // namespace ibot::config
