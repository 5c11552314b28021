#include "ibot/eval/report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace ibot::eval {
namespace {

/// To four digits, and at least two decimals; a quotient that prints as such.
double rounded(double value) {
  if (!std::isfinite(value) || value == 0) return value;
  const double decimals = 3 - std::floor(std::log10(std::abs(value)));
  const double unit = std::pow(10, std::clamp(decimals, 2.0, 15.0));
  return std::round(value * unit) / unit;
}

}  // namespace

std::string to_json(const Report& report) {
  nlohmann::ordered_json json;
  json["task"] = report.task;
  json["metrics"] = report.metrics;
  json["rounded"] = nlohmann::json::object();
  for (const auto& [name, value] : report.metrics) json["rounded"][name] = rounded(value);
  json["counts"] = report.counts;
  json["options"] = nlohmann::json::object();
  for (const auto& [name, value] : report.options) {
    std::visit([&, key = name](const auto& content) { json["options"][key] = content; }, value);
  }
  json["weights"] = report.weights;
  json["data"] = report.data;
  json["identity"] = report.identity;
  json["date"] = report.date;
  json["version"] = report.version;
  // Paths may hold any bytes; those that are not UTF-8 are shown as replacement characters.
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
}

}  // namespace ibot::eval
