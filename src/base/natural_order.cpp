#include "ibot/base/natural_order.h"

#include <cctype>
#include <string_view>

namespace ibot {
namespace {

bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

/// The digits that `text` begins with, without leading zeros; `text` loses them.
std::string_view take_number(std::string_view& text) {
  size_t end = 0;
  while (end < text.size() && is_digit(text[end])) ++end;
  auto digits = text.substr(0, end);
  text.remove_prefix(end);
  while (digits.size() > 1 && digits.front() == '0') digits.remove_prefix(1);
  return digits;
}

}  // namespace

bool natural_less(const std::string& a, const std::string& b) {
  std::string_view left = a, right = b;
  while (!left.empty() && !right.empty()) {
    if (is_digit(left.front()) && is_digit(right.front())) {
      const auto one = take_number(left);
      const auto other = take_number(right);
      // Without leading zeros the longer number is the larger one, whatever its length.
      if (one.size() != other.size()) return one.size() < other.size();
      if (one != other) return one < other;
    } else if (left.front() != right.front()) {
      return left.front() < right.front();
    } else {
      left.remove_prefix(1);
      right.remove_prefix(1);
    }
  }
  // "a01" and "a1" differ in zeros alone.
  return left.empty() && right.empty() ? a < b : left.empty();
}

}  // namespace ibot
