#include "ibot/base/option_text.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace ibot {
namespace {

// Whether YAML 1.1 and 1.2 readers both take the unquoted word for a string.
bool is_plain_word(const std::string& text) {
  static const std::vector<std::string> kReserved{"null", "true", "false", "yes", "no",
                                                  "on",   "off",  "y",     "n"};
  if (text.empty() || std::isalpha(static_cast<unsigned char>(text[0])) == 0) return false;
  const auto allowed = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '-'; };
  if (!std::all_of(text.begin(), text.end(), allowed)) return false;
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char letter) { return std::tolower(letter); });
  return std::find(kReserved.begin(), kReserved.end(), lower) == kReserved.end();
}

template <class List>
std::string list_text(const List& values) {
  std::string text = "[";
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) text += ", ";
    text += option_text(values[i]);
  }
  text += ']';
  return text;
}

}  // namespace

std::string option_text(bool value) { return value ? "true" : "false"; }

std::string option_text(int64_t value) { return std::to_string(value); }

// Shortest digits that parse back to the same double. YAML 1.1 readers take "1e-06" for a string
// and "1" for an integer, hence always a decimal point. Independent of the locale, unlike printf.
std::string option_text(double value) {
  const double size = std::abs(value);
  const bool fixed = size == 0 || (size >= 1e-4 && size < 1e15);
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value,
                                 fixed ? std::chars_format::fixed : std::chars_format::scientific);
  std::string text(buffer, end.ptr);
  if (text.find('.') == std::string::npos) text.insert(std::min(text.find('e'), text.size()), ".0");
  return text;
}

std::string option_text(const std::string& text) {
  if (is_plain_word(text)) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      // Raw control characters are not allowed in YAML, even between quotes.
      std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned>(c));
      quoted += escape;
    } else {
      quoted += c;
    }
  }
  quoted += '"';
  return quoted;
}

std::string option_text(const std::vector<int64_t>& values) { return list_text(values); }

std::string option_text(const std::vector<double>& values) { return list_text(values); }

std::string option_text(const std::vector<std::string>& values) { return list_text(values); }

std::string option_text(const std::array<double, 2>& values) { return list_text(values); }

std::string option_text(const std::array<double, 3>& values) { return list_text(values); }

}  // namespace ibot
