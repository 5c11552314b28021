#include "ibot/report/report_page.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <functional>
#include <set>

#include "ibot/base/error.h"
#include "ibot/base/natural_order.h"
#include "ibot/base/version.h"
#include "ibot/report/charts.h"

namespace ibot::report {
namespace {

constexpr size_t kShownRows = 200;     // of faults and of images
constexpr size_t kKeysBesideRuns = 6;  // differing keys in the table of runs

std::string shown(double value) {
  if (!std::isfinite(value)) return "-";
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.6g", value);
  return text.data();
}

std::string shown_time(int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  std::array<char, 32> text{};
  if (::gmtime_r(&time, &parts) == nullptr) return "-";
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M UTC", &parts);
  return text.data();
}

template <class Map>
std::string value_at(const Map& values, const std::string& key) {
  const auto found = values.find(key);
  if (found == values.end()) return "";
  if constexpr (std::is_same_v<typename Map::mapped_type, double>) {
    return shown(found->second);
  } else {
    return found->second;
  }
}

std::string state_of(const RunRecord& run) {
  if (run.done) return "done";
  if (!run.failure.empty()) return "failed: " + run.failure;
  if (run.total_epochs > 0) {
    return concat("unfinished, epoch ", run.epochs, " of ", run.total_epochs, ", last written ",
                  shown_time(run.written_s));
  }
  return concat("no report yet, last written ", shown_time(run.written_s));
}

std::vector<std::string> natural(const std::set<std::string>& names) {
  std::vector<std::string> sorted(names.begin(), names.end());
  std::sort(sorted.begin(), sorted.end(), natural_less);
  return sorted;
}

/// Names of evaluations, and the metrics that the last one of any run has.
std::map<std::string, std::set<std::string>> metrics_of(const std::vector<RunRecord>& runs) {
  std::map<std::string, std::set<std::string>> metrics;
  for (const auto& run : runs) {
    for (const auto& evaluation : run.evaluations) {
      for (const auto& [metric, value] : evaluation.metrics) {
        if (!run.results.contains(evaluation.name + "." + metric)) continue;
        metrics[evaluation.name].insert(metric);
      }
    }
  }
  return metrics;
}

using Runs = std::vector<const RunRecord*>;
using ValueIn = std::function<std::string(const RunRecord&, const std::string&)>;

/// A row per run; where there are fewer runs than columns, a row per column.
eval::Table table_of_runs(const std::string& caption, const Runs& runs,
                          const std::vector<std::string>& columns, const char* column_name,
                          const ValueIn& value) {
  eval::Table table{caption, {}, {}};
  if (runs.size() < columns.size()) {
    table.header.push_back(column_name);
    for (const auto* run : runs) table.header.push_back(run->name);
    for (const auto& column : columns) {
      auto& row = table.rows.emplace_back(std::vector{column});
      for (const auto* run : runs) row.push_back(value(*run, column));
    }
    return table;
  }
  table.header.push_back("run");
  table.header.insert(table.header.end(), columns.begin(), columns.end());
  for (const auto* run : runs) {
    auto& row = table.rows.emplace_back(std::vector{run->name});
    for (const auto& column : columns) row.push_back(value(*run, column));
  }
  return table;
}

void add_runs(eval::Page& page, const std::vector<RunRecord>& runs) {
  auto keys = differing_keys(runs);
  if (keys.size() > kKeysBesideRuns) keys.clear();
  eval::Table table{"", {"run", "task", "steps", "loss"}, {}};
  std::vector<std::string> results{"loss"};
  for (const auto& [name, metrics] : metrics_of(runs)) {
    results.push_back(name + "." + main_metric(metrics));
    table.header.push_back(name + " " + main_metric(metrics));
  }
  table.header.insert(table.header.end(), keys.begin(), keys.end());
  table.header.push_back("state");
  for (const auto& run : runs) {
    auto& row = table.rows.emplace_back(
        std::vector{run.name, run.task, run.step > 0 ? concat(run.step) : ""});
    for (const auto& result : results) row.push_back(value_at(run.results, result));
    for (const auto& key : keys) row.push_back(value_at(run.keys, key));
    row.push_back(state_of(run));
  }
  page.heading("Runs");
  page.runs(table);
}

void add_charts(eval::Page& page, const std::vector<RunRecord>& runs) {
  for (const auto& group : run_charts(runs)) {
    page.heading(group.title);
    if (!group.charts.empty()) page.charts(group.charts);
    std::string constant;
    for (const auto& one : group.constant) constant += (constant.empty() ? "" : ", ") + one;
    if (!constant.empty()) page.paragraph("The same throughout: " + constant + ".");
  }
}

void add_evaluations(eval::Page& page, const std::vector<RunRecord>& runs) {
  const auto metrics = metrics_of(runs);
  if (metrics.empty()) return;
  page.heading("Results");
  page.paragraph("The last evaluation of each run.");
  for (const auto& [name, all] : metrics) {
    Runs with;
    for (const auto& run : runs) {
      const auto has = [&](const std::string& metric) {
        return run.results.contains(name + "." + metric);
      };
      if (std::any_of(all.begin(), all.end(), has)) with.push_back(&run);
    }
    const auto table = table_of_runs(name, with, natural(all), "metric",
                                     [&](const RunRecord& run, const std::string& metric) {
                                       return value_at(run.results, name + "." + metric);
                                     });
    page.table(table);
  }
}

void add_pictures(eval::Page& page, const std::vector<PictureSection>& sections) {
  for (const auto& section : sections) {
    page.heading(section.title);
    if (!section.text.empty()) page.paragraph(section.text);
    for (const auto& figure : section.figures) page.figure(figure);
  }
}

void add_configuration(eval::Page& page, const std::vector<RunRecord>& runs) {
  const auto value = [](const RunRecord& run, const std::string& key) {
    return value_at(run.keys, key);
  };
  page.heading("Configuration");
  const auto differing = differing_keys(runs);
  if (runs.size() > 1 && !differing.empty()) {
    Runs all;
    for (const auto& run : runs) all.push_back(&run);
    page.table(table_of_runs("What differs", all, differing, "key", value));
  } else if (runs.size() > 1) {
    page.paragraph("The same in all runs.");
  }
  // Of many runs, the keys of one: with what differs they are those of all.
  for (const auto& run : runs) {
    if (run.keys.empty()) continue;
    eval::Table all{"All keys of " + run.name, {"key", "value"}, {}};
    for (const auto& [key, text] : run.keys) all.rows.push_back({key, text});
    page.folded(all);
    break;
  }
}

void shorten(eval::Table& table, const char* what) {
  const auto total = table.rows.size();
  table.caption = concat(what, ": ", total);
  if (total <= kShownRows) return;
  table.caption += concat(", of which the first ", kShownRows, " are listed");
  table.rows.resize(kShownRows);
}

void add_faults(eval::Page& page, const std::vector<RunRecord>& runs) {
  eval::Table faults{"", {"run", "step", "kind", "what happened"}, {}};
  eval::Table images{"", {"run", "epoch", "image", "reason"}, {}};
  eval::Table problems{"", {"run", "problem"}, {}};
  for (const auto& run : runs) {
    for (const auto& fault : run.faults) {
      faults.rows.push_back({run.name, concat(fault.step), fault.kind, fault.text});
    }
    for (const auto& bad : run.bad_samples) {
      images.rows.push_back({run.name, concat(bad.epoch + 1), bad.path, bad.reason});
    }
    for (const auto& problem : run.problems) problems.rows.push_back({run.name, problem});
  }
  page.heading("Faults");
  if (faults.rows.empty() && images.rows.empty()) {
    page.paragraph("No fault and no unreadable image is recorded.");
  }
  shorten(faults, "Faults that the run survived");
  shorten(images, "Images that could not be read and were replaced");
  shorten(problems, "What this page could not read");
  for (const auto* table : {&faults, &images, &problems}) {
    if (!table->rows.empty()) page.table(*table);
  }
}

}  // namespace

std::vector<PictureSection> side_by_side(const std::vector<PicturesOfRun>& runs) {
  if (runs.size() == 1) return runs.front().sections;
  std::vector<PictureSection> all;
  for (const auto& [name, sections] : runs) {
    for (const auto& section : sections) {
      auto joint = std::find_if(all.begin(), all.end(),
                                [&](const auto& other) { return other.title == section.title; });
      if (joint == all.end()) joint = all.insert(all.end(), {section.title, "", {}});
      for (auto figure : section.figures) {
        figure.caption = concat(name, ". ", section.text);
        joint->figures.push_back(std::move(figure));
      }
    }
  }
  return all;
}

std::string report_html(const std::vector<RunRecord>& runs,
                        const std::vector<PictureSection>& pictures) {
  eval::Page page(runs.size() == 1 ? runs.front().name : concat(runs.size(), " runs"));
  page.paragraph(concat("Written ", shown_time(std::time(nullptr)), " by ibot ", kVersion, "."));
  add_runs(page, runs);
  add_charts(page, runs);
  add_evaluations(page, runs);
  add_pictures(page, pictures);
  add_configuration(page, runs);
  add_faults(page, runs);
  return page.html();
}

}  // namespace ibot::report
