#include "config/value.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <string_view>

#include "ibot/base/error.h"
#include "ibot/base/option_text.h"
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
std::string name_of(std::vector<std::string>*) { return "a list of words"; }
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

// Each parse() returns whether the node fits.
bool is_plain(const Node& node) { return node.kind == Node::Kind::kScalar && !node.quoted; }

template <class Number>
bool parse_number(const Node& node, Number& number) {
  if (!is_plain(node)) return false;
  const char* end = node.text.data() + node.text.size();
  // Independent of the locale; the whole text must be a number, so "3x" is refused.
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
  // from_chars accepts inf and nan, which no option takes.
  return parse_number(node, value) && std::isfinite(value);
}

bool parse(const Node& node, std::string& value) {
  if (node.kind != Node::Kind::kScalar && node.kind != Node::Kind::kNull) return false;
  value = node.text;
  return true;
}

template <class Value>
bool parse(const Node& node, std::vector<Value>& values) {
  if (node.kind != Node::Kind::kList) {
    // A single value needs no brackets.
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

std::string text_of(const EnumSlot& slot) { return option_text(slot.name()); }

template <class T>
std::string text_of(const T* value) {
  return option_text(*value);
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
  // A failed parse leaves the option unchanged.
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
  return std::visit([](const auto& target) { return text_of(target); }, slot);
}

std::string type_name(const FieldSlot& slot) {
  return std::visit([](const auto& target) { return name_of(target); }, slot);
}

}  // namespace ibot::config
