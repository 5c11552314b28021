#include "ibot/config/sweep.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <string_view>

#include "config/lookup.h"
#include "config/sweep_axes.h"
#include "ibot/base/error.h"
#include "ibot/base/hash.h"

namespace ibot::config {
namespace {

constexpr size_t kMostRuns = 1000;
constexpr size_t kLongestValue = 40;
constexpr size_t kLongestName = 180;  // 255 bytes are usual file systems' limit

/// What distinguishes the keys in names of folders: "lr" of optim.lr, or all of it if two end
/// alike.
std::map<std::string, std::string> short_names(const std::vector<SweepAxis>& axes) {
  std::map<std::string, int> uses;
  const auto last = [](const std::string& key) { return key.substr(key.rfind('.') + 1); };
  for (const auto& axis : axes) {
    for (const auto& key : axis.keys) ++uses[last(key)];
  }
  std::map<std::string, std::string> names;
  for (const auto& axis : axes) {
    for (const auto& key : axis.keys) names[key] = uses[last(key)] > 1 ? key : last(key);
  }
  return names;
}

/// A value in characters that need no quotes in a shell, without the brackets and spaces of lists;
/// `exact` becomes false if another value looks the same.
std::string plain_value(const std::string& value, bool& exact) {
  const bool is_text = value.starts_with('"');
  std::string plain;
  char before = 0;
  for (const char c : value) {
    const bool quotes = is_text && c == '"';
    const bool of_list = !is_text && (c == '[' || c == ']' || (c == ' ' && before == ','));
    before = c;
    if (quotes || of_list) continue;
    const bool kept = std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                      std::string_view("._+-,").find(c) != std::string_view::npos;
    exact = exact && kept;
    plain += kept ? c : '_';
  }
  exact = exact && plain.size() <= kLongestValue;
  return plain.substr(0, kLongestValue);
}

/// The run's name. Where it does not tell all of its values it ends in a hash of them.
std::string name_of(const std::vector<std::pair<std::string, std::string>>& values) {
  std::string name;
  bool exact = true;
  Hash hash;
  for (const auto& [key, value] : values) {
    name += (name.empty() ? "" : "-") + key + "=" + plain_value(value, exact);
    hash.add(key + "=" + value + "\n");
  }
  exact = exact && name.size() <= kLongestName;
  return exact ? name : name.substr(0, kLongestName) + "-" + hash.hex().substr(0, 8);
}

void check_swept_once(const std::vector<SweepAxis>& axes) {
  std::map<std::string, std::string> seen;
  for (const auto& axis : axes) {
    for (const auto& key : axis.keys) {
      const auto [known, fresh] = seen.emplace(key, axis.origin);
      if (!fresh) fail(key, "swept twice, also at " + known->second, axis.origin);
    }
  }
}

/// The sweep of the last file that has one.
SweepAxes axes_of_files(const Sections& scratch, const std::vector<ConfigText>& files) {
  for (auto file = files.rbegin(); file != files.rend(); ++file) {
    const Node root = parse_document(file->text);
    for (size_t i = 0; i < root.keys.size(); ++i) {
      if (root.keys[i].text == "sweep") return axes_of(scratch, root.values[i], file->name);
    }
  }
  return {};
}

/// A combination of values, and the overrides that set them.
struct Combination {
  std::vector<std::pair<std::string, std::string>> values;  // by short name
  std::vector<std::string> overrides;
};

std::vector<Combination> combined(const std::vector<SweepAxis>& axes) {
  const auto names = short_names(axes);
  std::vector<Combination> runs(1);
  for (const auto& axis : axes) {
    IBOT_CHECK_AS(ConfigError, runs.size() * axis.choices.size() <= kMostRuns,
                  "sweep: expected at most ", kMostRuns, " runs, got ",
                  runs.size() * axis.choices.size(), " or more");
    std::vector<Combination> longer;
    for (const auto& run : runs) {
      for (const auto& choice : axis.choices) {
        auto& next = longer.emplace_back(run);
        for (size_t i = 0; i < axis.keys.size(); ++i) {
          next.values.emplace_back(names.at(axis.keys[i]), choice[i]);
          next.overrides.push_back(axis.keys[i] + "=" + choice[i]);
        }
      }
    }
    runs = std::move(longer);
  }
  return runs;
}

}  // namespace

std::vector<SweepRun> expand_sweep(const Sections& scratch, const std::vector<ConfigText>& files,
                                   const std::vector<std::string>& overrides) {
  auto plain = overrides;
  auto described = axes_of_files(scratch, files);
  take_overrides(scratch, plain, described);
  auto axes = std::move(described.listed);
  const auto drawn = drawn_axis(scratch, described);
  if (!drawn.choices.empty()) axes.push_back(drawn);
  check_swept_once(axes);
  if (axes.empty()) return {{"", "", plain}};
  std::vector<SweepRun> runs;
  for (auto& run : combined(axes)) {
    std::string swept;
    for (const auto& assignment : run.overrides) swept += (swept.empty() ? "" : " ") + assignment;
    run.overrides.insert(run.overrides.end(), plain.begin(), plain.end());
    runs.push_back({name_of(run.values), std::move(swept), std::move(run.overrides)});
  }
  return runs;
}

}  // namespace ibot::config
