// Configurations as text, and a configuration with a key of every type.
#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/config/run_config.h"
#include "ibot/config/yaml.h"

namespace ibot::config {

inline RunConfig parsed(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return parse_config<RunConfig>(text, "run.yaml", overrides);
}

// The message of the refusal; empty when there was none.
inline std::string refusal(const std::string& text,
                           const std::vector<std::string>& overrides = {}) {
  try {
    parsed(text, overrides);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return {};
}

inline std::string override_refusal(const std::string& assignment) {
  return refusal("", {assignment});
}

enum class Color { kOff, kInk };

struct EveryType {
  Color color = Color::kInk;
  bool flag = true;
  int64_t integer = -3;
  double number = 0.1;
  std::string text = "plain";
  std::vector<int64_t> integers{1, 2};
  std::vector<double> numbers{1e-7};
  std::vector<std::string> words{"one", "two words"};
  std::array<double, 2> pair{0.5, 1};
  std::array<double, 3> triple{1, 2, 3};

  template <class Visitor>
  void fields(Visitor&& field) {
    field("color", color, "an enumerator");
    field("flag", flag, "yes or no");
    field("integer", integer, "a whole number");
    field("number", number, "any number");
    field("text", text, "words");
    field("integers", integers, "some whole numbers");
    field("numbers", numbers, "some numbers");
    field("words", words, "some words");
    field("pair", pair, "two numbers");
    field("triple", triple, "three numbers");
  }
  void validate() const { check_option(integer < 100, "integer", "expected below 100"); }
};

// A struct of another program, unknown to the library.
struct OtherConfig {
  EveryType first;
  EveryType second;

  template <class Visitor>
  void sections(Visitor&& section) {
    section("first", first);
    section("second", second);
  }
};

}  // namespace ibot::config

template <>
struct ibot::EnumNames<ibot::config::Color> {
  static constexpr std::array<std::pair<config::Color, std::string_view>, 2> values{
      {{config::Color::kOff, "off"}, {config::Color::kInk, "ink"}}};
};
