#include "ibot-doctor/finding.h"

#include <algorithm>
#include <iomanip>
#include <sstream>

namespace ibot::apps {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVerdictWidth = 9;
constexpr int kNameWidth = 16;

Json as_json(const Finding& finding) {
  Json json{{"name", finding.name},
            {"status", enum_name(finding.verdict)},
            {"found", finding.text},
            {"remedy", finding.remedy}};
  if (!finding.figures.empty()) json["figures"] = finding.figures;
  return json;
}

Verdict worst_of(const std::vector<Finding>& findings) {
  auto worst = Verdict::kOk;
  for (const auto& finding : findings) {
    if (finding.verdict != Verdict::kSkipped) worst = std::max(worst, finding.verdict);
  }
  return worst;
}

}  // namespace

std::string bytes_text(double bytes) {
  constexpr std::array<const char*, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < kUnits.size(); ++unit) bytes /= 1024;
  std::ostringstream text;
  text << std::fixed << std::setprecision(unit == 0 || bytes >= 100 ? 0 : 1) << bytes << ' '
       << kUnits[unit];
  return text.str();
}

std::string text_of(const std::vector<Finding>& findings) {
  std::ostringstream text;
  text << std::left;
  for (const auto& finding : findings) {
    text << std::setw(kVerdictWidth) << enum_name(finding.verdict) << std::setw(kNameWidth)
         << finding.name << finding.text << '\n';
    if (!finding.remedy.empty()) {
      text << std::string(kVerdictWidth + kNameWidth, ' ') << "-> " << finding.remedy << '\n';
    }
  }
  return text.str();
}

std::string json_of(const std::vector<Finding>& findings) {
  Json checks = Json::array();
  for (const auto& finding : findings) checks.push_back(as_json(finding));
  const Json report{{"status", enum_name(worst_of(findings))}, {"checks", checks}};
  // File names need not be UTF-8.
  return report.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

bool any_failed(const std::vector<Finding>& findings) {
  return worst_of(findings) == Verdict::kFailed;
}

}  // namespace ibot::apps
