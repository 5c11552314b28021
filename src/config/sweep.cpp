#include "ibot/config/sweep.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <string_view>

#include "ibot/base/error.h"

namespace ibot::config {
namespace {

constexpr size_t kMostRuns = 1000;

std::string_view trimmed(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// "key={a, [b, c]}" as "key=a" and "key=[b, c]"; anything else as it is.
std::vector<std::string> alternatives(const std::string& assignment) {
  const size_t start = assignment.find('=') + 1;
  const std::string_view value = trimmed(std::string_view(assignment).substr(start));
  if (start == 0 || value.size() < 2 || value.front() != '{' || value.back() != '}') {
    return {assignment};
  }
  std::vector<std::string> result;
  int depth = 0;
  size_t begin = 1;
  for (size_t i = 1; i < value.size(); ++i) {
    if (value[i] == '[') ++depth;
    if (value[i] == ']') --depth;
    const bool ends = i + 1 == value.size() || (depth == 0 && value[i] == ',');
    if (!ends) continue;
    const std::string_view item = trimmed(value.substr(begin, i - begin));
    IBOT_CHECK_AS(ConfigError, !item.empty(), assignment.substr(0, start - 1),
                  ": expected values between the commas of a sweep, got ", value,
                  " (command line)");
    result.push_back(assignment.substr(0, start) + std::string(item));
    begin = i + 1;
  }
  return result;
}

// "-lr=0.001" of "optim.lr=0.001", restricted to characters that need no quotes in a shell.
std::string folder_part(const std::string& assignment) {
  const size_t equals = assignment.find('=');
  const size_t point = assignment.rfind('.', equals);
  std::string part = assignment.substr(point == std::string::npos ? 0 : point + 1);
  const auto replaced = [](unsigned char c) {
    return std::isalnum(c) == 0 &&
           std::string_view("._+-=").find(static_cast<char>(c)) == std::string_view::npos;
  };
  std::replace_if(part.begin(), part.end(), replaced, '_');
  return concat("-", part.substr(0, 40));
}

}  // namespace

std::vector<SweepRun> expand_sweep(const std::vector<std::string>& overrides) {
  std::vector<SweepRun> runs(1);
  for (const std::string& assignment : overrides) {
    const auto choices = alternatives(assignment);
    IBOT_CHECK_AS(ConfigError, runs.size() * choices.size() <= kMostRuns,
                  "sweep: expected at most ", kMostRuns, " runs, got ",
                  runs.size() * choices.size(), " or more");
    std::vector<SweepRun> longer;
    for (const SweepRun& run : runs) {
      for (const std::string& choice : choices) {
        SweepRun& next = longer.emplace_back(run);
        next.overrides.push_back(choice);
        if (choices.size() > 1) next.name += folder_part(choice);
      }
    }
    runs = std::move(longer);
  }
  if (runs.size() == 1) return runs;
  for (size_t i = 0; i < runs.size(); ++i) {
    const auto number = std::to_string(i);
    runs[i].name.insert(0, std::string(number.size() < 3 ? 3 - number.size() : 0, '0') + number);
  }
  return runs;
}

}  // namespace ibot::config
