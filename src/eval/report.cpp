#include "ibot/eval/report.h"

#include <nlohmann/json.hpp>

namespace ibot::eval {

std::string to_json(const Report& report) {
  nlohmann::ordered_json json;
  json["task"] = report.task;
  json["metrics"] = report.metrics;
  json["options"] = nlohmann::json::object();
  for (const auto& [name, value] : report.options) {
    std::visit([&, key = name](const auto& content) { json["options"][key] = content; }, value);
  }
  json["weights"] = report.weights;
  json["data"] = report.data;
  json["identity"] = report.identity;
  // Paths may hold any bytes; those that are not UTF-8 are shown as replacement characters.
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
}

}  // namespace ibot::eval
