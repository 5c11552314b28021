#include "config/value.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <string_view>

#include "ibot/base/error.h"
#include "ibot/config/nearest.h"

namespace ibot::config {
namespace {

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char letter) { return std::tolower(letter); });
  return text;
}

std::string name_of(bool*) { return "true or false"; }
std::string name_of(int64_t*) { return "an integer"; }
std::string name_of(double*) { return "a number"; }
std::string name_of(std::string*) { return "text"; }
std::string name_of(std::vector<int64_t>*) { return "a list of integers"; }
std::string name_of(std::vector<double>*) { return "a list of numbers"; }
template <size_t n>
std::string name_of(std::array<double, n>*) {
  return concat("a list of ", n, " numbers");
}
std::string name_of(const EnumSlot& slot) {
  std::string names;
  for (const std::string& choice : slot.choices) {
    if (!names.empty()) names += " | ";
    names += choice;
  }
  return names;
}

// Each `parse` returns whether the node fits.
bool is_plain(const Node& node) { return node.kind == Node::Kind::kScalar && !node.quoted; }

template <class Number>
bool parse_number(const Node& node, Number& number) {
  if (!is_plain(node)) return false;
  const char* end = node.text.data() + node.text.size();
  const auto result = std::from_chars(node.text.data(), end, number);
  return result.ec == std::errc() && result.ptr == end;
}

bool parse(const Node& node, bool& value) {
  if (!is_plain(node)) return false;
  const std::string word = lower_case(node.text);
  value = word == "true" || word == "on";
  return value || word == "false" || word == "off";
}

bool parse(const Node& node, int64_t& value) { return parse_number(node, value); }

bool parse(const Node& node, double& value) {
  return parse_number(node, value) && std::isfinite(value);
}

bool parse(const Node& node, std::string& value) {
  if (node.kind != Node::Kind::kScalar && node.kind != Node::Kind::kNull) return false;
  value = node.text;
  return true;
}

template <class Number>
bool parse(const Node& node, std::vector<Number>& values) {
  if (node.kind != Node::Kind::kList) {
    values.resize(1);
    return parse(node, values[0]);
  }
  values.resize(node.values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (!parse(node.values[i], values[i])) return false;
  }
  return true;
}

template <size_t n>
bool parse(const Node& node, std::array<double, n>& values) {
  if (node.kind != Node::Kind::kList || node.values.size() != n) return false;
  for (size_t i = 0; i < n; ++i) {
    if (!parse(node.values[i], values[i])) return false;
  }
  return true;
}

std::string written(bool value) { return value ? "true" : "false"; }
std::string written(int64_t value) { return std::to_string(value); }

// Shortest digits that read back to the same double. YAML 1.1 readers take "1e-06" for text and
// "1" for an integer, hence always a point.
std::string written(double value) {
  const double size = std::abs(value);
  const bool fixed = size == 0 || (size >= 1e-4 && size < 1e15);
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value,
                                 fixed ? std::chars_format::fixed : std::chars_format::scientific);
  std::string text(buffer, end.ptr);
  if (text.find('.') == std::string::npos) text.insert(std::min(text.find('e'), text.size()), ".0");
  return text;
}

// Plain where no reader could take it for anything but text.
bool is_plain_word(const std::string& text) {
  static const std::vector<std::string> kReserved{"null", "true", "false", "yes", "no",
                                                  "on",   "off",  "y",     "n"};
  if (text.empty() || std::isalpha(static_cast<unsigned char>(text[0])) == 0) return false;
  const auto allowed = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '-'; };
  if (!std::all_of(text.begin(), text.end(), allowed)) return false;
  return std::find(kReserved.begin(), kReserved.end(), lower_case(text)) == kReserved.end();
}

std::string written(const std::string& text) {
  if (is_plain_word(text)) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned>(c));
      quoted += escape;
    } else {
      quoted += c;
    }
  }
  quoted += '"';
  return quoted;
}

template <class List>
std::string written_list(const List& values) {
  std::string text = "[";
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) text += ", ";
    text += written(values[i]);
  }
  text += ']';
  return text;
}

template <class Number>
std::string written(const std::vector<Number>& values) {
  return written_list(values);
}

template <size_t n>
std::string written(const std::array<double, n>& values) {
  return written_list(values);
}

std::string written_of(const EnumSlot& slot) { return written(slot.name()); }

template <class T>
std::string written_of(const T* value) {
  return written(*value);
}

std::string mistyped(const std::string& expected, const Node& node) {
  return "expected " + expected + ", got " + describe(node);
}

std::string assign_to(const EnumSlot& slot, const Node& node) {
  if (node.kind == Node::Kind::kScalar && slot.assign(node.text)) return {};
  const auto meant = nearest(node.text, slot.choices);
  return mistyped(name_of(slot), node) + (meant ? "; did you mean " + *meant + "?" : "");
}

template <class T>
std::string assign_to(T* target, const Node& node) {
  T value{};
  if (!parse(node, value)) return mistyped(name_of(target), node);
  *target = std::move(value);
  return {};
}

}  // namespace

std::string assign(const FieldSlot& slot, const Node& node) {
  return std::visit([&](const auto& target) { return assign_to(target, node); }, slot);
}

std::string write_value(const FieldSlot& slot) {
  return std::visit([](const auto& target) { return written_of(target); }, slot);
}

std::string type_name(const FieldSlot& slot) {
  return std::visit([](const auto& target) { return name_of(target); }, slot);
}

}  // namespace ibot::config
