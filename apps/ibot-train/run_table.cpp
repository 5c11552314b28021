#include "ibot-train/run_table.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <set>
#include <utility>

#include "ibot/base/error.h"
#include "ibot/base/natural_order.h"

namespace ibot::apps {
namespace {

using report::RunRecord;

constexpr size_t kShownKeys = 12;

std::string number_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

std::vector<std::string> result_names(const std::vector<RunRecord>& runs) {
  std::set<std::string> names;
  for (const auto& run : runs) {
    for (const auto& [name, value] : run.results) names.insert(name);
  }
  std::vector<std::string> sorted(names.begin(), names.end());
  std::sort(sorted.begin(), sorted.end(), natural_less);
  return sorted;
}

/// Whether less is better.
bool is_cost(const std::string& metric) {
  const auto last = metric.substr(metric.rfind('.') + 1);
  return last.starts_with("loss") || last.starts_with("error") || last.starts_with("mce");
}

double value_in(const RunRecord& run, const std::string& metric) {
  const auto found = run.results.find(metric);
  return found == run.results.end() ? std::nan("") : found->second;
}

/// 0 done, 1 not yet, 2 failed.
int standing_of(const std::string& state) {
  return state == "done" ? 0 : state == "failed" ? 2 : 1;
}

/// Order of rows: finished runs, the best first, then those that are not, then those that failed.
std::vector<size_t> ranked(const std::vector<RunRecord>& runs,
                           const std::vector<std::string>& states, const std::string& metric) {
  std::vector<size_t> order(runs.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const double sign = is_cost(metric) ? 1.0 : -1.0;
  const auto cost = [&](size_t i) {
    const double value = value_in(runs[i], metric);
    return std::pair(standing_of(states[i]), std::isfinite(value) ? sign * value : INFINITY);
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return cost(a) < cost(b); });
  return order;
}

std::string quoted(const std::string& cell) {
  if (cell.find_first_of(",\"\n\r") == std::string::npos) return cell;
  std::string text = "\"";
  for (const char c : cell) text += c == '"' ? "\"\"" : std::string(1, c);
  return text + "\"";
}

std::string value_or_none(const RunRecord& run, const std::string& key) {
  const auto found = run.keys.find(key);
  return found == run.keys.end() ? "" : found->second;
}

/// Keys that differ among the runs that tell theirs.
std::vector<std::string> differing_keys_of(std::vector<RunRecord> runs) {
  std::erase_if(runs, [](const RunRecord& run) { return run.keys.empty(); });
  return report::differing_keys(runs);
}

/// Characters, not bytes, so that columns stay aligned.
size_t width_of(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

}  // namespace

RunTable run_table(const std::vector<RunRecord>& runs, const std::vector<std::string>& states,
                   const std::string& metric) {
  const auto results = result_names(runs);
  IBOT_CHECK_AS(
      ConfigError, metric.empty() || std::count(results.begin(), results.end(), metric) > 0,
      "--sort: expected one of ",
      [&] {
        std::string names;
        for (const auto& name : results) names += (names.empty() ? "" : ", ") + name;
        return names;
      }(),
      ", got ", metric);
  RunTable table{.columns = differing_keys_of(runs), .shown = {}, .rows = {}, .metric = metric};
  if (table.metric.empty()) table.metric = report::main_result(runs);
  const auto keys = table.columns;
  table.columns.insert(table.columns.end(), {"state", "step"});
  // Runs of different kinds differ in hundreds of keys.
  table.shown.assign(table.columns.size(), keys.size() <= kShownKeys);
  std::fill_n(table.shown.end() - 2, 2, true);
  table.hidden_keys = keys.size() <= kShownKeys ? 0 : keys.size();
  for (const auto& name : results) {
    table.columns.push_back(name);
    table.shown.push_back(name == table.metric || name == "loss");
  }
  table.columns.push_back("run");
  table.shown.push_back(true);
  for (const size_t i : ranked(runs, states, table.metric)) {
    std::vector<std::string> row;
    for (const auto& key : keys) row.push_back(value_or_none(runs[i], key));
    row.push_back(states[i]);
    row.push_back(std::to_string(runs[i].step));
    for (const auto& name : results) {
      const bool has = runs[i].results.count(name) > 0;
      row.push_back(has ? number_text(value_in(runs[i], name)) : "");
    }
    row.push_back(runs[i].folder.string());
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::vector<std::string> states_of(const std::vector<RunRecord>& runs) {
  std::vector<std::string> states;
  for (const auto& run : runs) {
    states.push_back(run.done               ? "done"
                     : !run.failure.empty() ? "failed"
                     : run.total_epochs > 0 ? concat(run.epochs, "/", run.total_epochs, " epochs")
                                            : "not done");
  }
  return states;
}

std::string as_text(const RunTable& table) {
  std::vector<std::vector<std::string>> lines{table.columns};
  lines.insert(lines.end(), table.rows.begin(), table.rows.end());
  std::string text;
  std::vector<size_t> widths(table.columns.size());
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], width_of(line[i]));
  }
  for (const auto& line : lines) {
    std::string row;
    for (size_t i = 0; i < line.size(); ++i) {
      if (!table.shown[i]) continue;
      row += line[i] + std::string(widths[i] - width_of(line[i]) + 2, ' ');
    }
    text += row.substr(0, row.find_last_not_of(' ') + 1) + '\n';
  }
  if (table.hidden_keys > 0) {
    text += concat(table.hidden_keys,
                   " keys differ; `ibot-train compare --csv` and ibot-report list them\n");
  }
  return text;
}

std::string as_csv(const RunTable& table) {
  std::vector<std::vector<std::string>> lines{table.columns};
  lines.insert(lines.end(), table.rows.begin(), table.rows.end());
  std::string text;
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) text.append(i > 0 ? "," : "").append(quoted(line[i]));
    text += "\r\n";
  }
  return text;
}

}  // namespace ibot::apps
