// What a misspelt word was meant to be.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ibot::config {

/// Fewest letters to insert, delete, replace or swap with a neighbour to turn one word into the
/// other.
///
/// Source: Damerau 1964, in the form that edits no part twice (optimal string alignment).
size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate with the smallest distance to `word`, the first of several; none when all are
/// further than a third of the word's length (at least one letter).
std::optional<std::string> nearest(std::string_view word,
                                   const std::vector<std::string>& candidates);

}  // namespace ibot::config
