// What an evaluation found, and of what.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "ibot/base/enum_names.h"
#include "ibot/eval/page.h"

namespace ibot::eval {

using OptionValue = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>,
                                 std::vector<double>, std::vector<std::string>>;

/// The fields of an options struct by name; enumerators as their names.
template <class Options>
std::map<std::string, OptionValue> option_values(Options options) {
  std::map<std::string, OptionValue> values;
  options.fields([&](const char* name, const auto& value, const auto&...) {
    using Value = std::decay_t<decltype(value)>;
    if constexpr (std::is_enum_v<Value>) {
      values.emplace(name, std::string(enum_name(value)));
    } else if constexpr (std::is_constructible_v<OptionValue, Value>) {
      values.emplace(name, value);
    } else {
      values.emplace(name, std::vector<double>(value.begin(), value.end()));
    }
  });
  return values;
}

/// What an evaluation found; accuracies in percent. What stands before `table` is the content of a
/// report.json, everything that of a page (ibot/eval/page.h).
struct Report {
  std::string task;
  std::map<std::string, double> metrics;
  std::map<std::string, OptionValue> options;
  std::string weights;
  std::string data;
  /// What the result belongs to: the method with its version, and hashes of weights and images.
  std::map<std::string, std::string> identity = {};
  /// Images, classes and the like that the result is of: "train_images".
  std::map<std::string, int64_t> counts = {};
  std::string date = {};     // when it was made, in UTC: "2026-01-31T12:00:00Z"
  std::string version = {};  // of the program
  /// The results as a person reads them, in whole lines.
  std::string table = {};
  /// What the best checkpoint of a run is chosen by, the higher the better; none: it cannot choose.
  std::optional<double> score = std::nullopt;
  /// What a page shows besides: curves and pictures, and tables of more than a metric a line.
  std::vector<Figure> figures = {};
  std::vector<Table> tables = {};
};

/// The report as one indented JSON object with a final line end; a metric that is not finite is
/// null. Beside `metrics`, which have every digit, `rounded` has them to four digits and at
/// least two decimals.
std::string to_json(const Report& report);

}  // namespace ibot::eval
