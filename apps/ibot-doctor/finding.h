// Results of checks.
#pragma once

#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "ibot/base/enum_names.h"

namespace ibot {
namespace apps {

/// kWarning: works, but slowly or not everywhere. kSkipped: does not apply here.
enum class Verdict { kOk, kSkipped, kWarning, kFailed };

/// What a check found; `remedy` is empty if nothing needs mending.
struct Finding {
  std::string name;
  Verdict verdict = Verdict::kOk;
  std::string text;
  std::string remedy = {};
  nlohmann::ordered_json figures = {};
};

/// "12.3 GiB", with the largest unit that gives at least 1.
std::string bytes_text(double bytes);

/// A line per finding, and another for its remedy.
std::string text_of(const std::vector<Finding>& findings);

/// {"status": "ok|warning|failed", "checks": [{"name", "status", "found", "remedy", "figures"}]}
std::string json_of(const std::vector<Finding>& findings);

bool any_failed(const std::vector<Finding>& findings);

}  // namespace apps

template <>
struct EnumNames<apps::Verdict> {
  static constexpr std::array<std::pair<apps::Verdict, std::string_view>, 4> values{
      {{apps::Verdict::kOk, "ok"},
       {apps::Verdict::kSkipped, "skipped"},
       {apps::Verdict::kWarning, "warning"},
       {apps::Verdict::kFailed, "failed"}}};
};

}  // namespace ibot
