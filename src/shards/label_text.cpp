#include "shards/label_text.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

namespace ibot::data {
namespace {

using CodePoints = std::vector<char32_t>;

// Zeros of the decimal digits of each script: Unicode 15, category Nd, basic multilingual plane.
constexpr std::array<char32_t, 37> kZeros{
    U'0',   0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6,
    0x0C66, 0x0CE6, 0x0D66, 0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0,
    0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620,
    0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10};

constexpr char32_t kByteOrderMark = 0xFEFF;

/// nullopt if the text is not UTF-8.
std::optional<CodePoints> decoded(std::string_view text) {
  CodePoints points;
  for (size_t i = 0; i < text.size();) {
    const auto first = static_cast<uint8_t>(text[i]);
    const size_t length = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : 4;
    if ((length == 4 && first >> 3 != 30) || i + length > text.size()) return std::nullopt;
    char32_t point = length == 1 ? first : first & (0x7F >> length);
    for (size_t k = 1; k < length; ++k) {
      const auto next = static_cast<uint8_t>(text[i + k]);
      if (next >> 6 != 2) return std::nullopt;
      point = point << 6 | (next & 0x3F);
    }
    points.push_back(point);
    i += length;
  }
  return points;
}

// White space that Python's int() strips.
bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

void strip(CodePoints& points) {
  // Some editors write a byte order mark.
  if (!points.empty() && points.front() == kByteOrderMark) points.erase(points.begin());
  const auto begin = std::find_if_not(points.begin(), points.end(), is_space);
  const auto end = std::find_if_not(points.rbegin(), points.rend(), is_space).base();
  points = begin < end ? CodePoints(begin, end) : CodePoints();
}

std::optional<int> digit(char32_t c) {
  for (const char32_t zero : kZeros) {
    if (c >= zero && c < zero + 10) return static_cast<int>(c - zero);
  }
  return std::nullopt;
}

void append_utf8(char32_t c, std::string& text) {
  const auto add = [&](char32_t byte) { text += static_cast<char>(byte); };
  if (c < 0x80) return add(c);
  if (c < 0x800) {
    add(0xC0 | c >> 6);
  } else {
    if (c < 0x10000) {
      add(0xE0 | c >> 12);
    } else {
      add(0xF0 | c >> 18);
      add(0x80 | (c >> 12 & 0x3F));
    }
    add(0x80 | (c >> 6 & 0x3F));
  }
  add(0x80 | (c & 0x3F));
}

}  // namespace

std::optional<int64_t> python_int(std::string_view text) {
  auto points = decoded(text);
  if (!points) return std::nullopt;
  strip(*points);
  size_t i = 0;
  const bool negative = !points->empty() && points->front() == U'-';
  if (negative || (!points->empty() && points->front() == U'+')) ++i;
  constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();
  int64_t value = 0;
  bool after_digit = false;
  for (; i < points->size(); ++i) {
    const auto next = digit((*points)[i]);
    // Single underscores between digits, as in Python's literals.
    if (!next && ((*points)[i] != U'_' || !after_digit)) return std::nullopt;
    after_digit = next.has_value();
    // Saturates instead of overflowing.
    if (next) value = value > (kLargest - *next) / 10 ? kLargest : value * 10 + *next;
  }
  if (!after_digit) return std::nullopt;
  return negative ? -value : value;
}

std::optional<std::string> class_word(std::string_view text) {
  auto points = decoded(text);
  if (!points) return std::nullopt;
  strip(*points);
  const auto is_control = [](char32_t c) { return c < 0x20 || (c >= 0x7F && c < 0xA0); };
  if (points->empty() || std::any_of(points->begin(), points->end(), is_control)) {
    return std::nullopt;
  }
  std::string word;
  for (const char32_t c : *points) append_utf8(c, word);
  return word;
}

}  // namespace ibot::data
