#include "report/run_files.h"

#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "ibot/base/error.h"
#include "ibot/config/written_values.h"
#include "ibot/io/file.h"

namespace ibot::report {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

/// JSON has no word for a number that is not finite: it is written as null.
double number_of(const Json& value) {
  return value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

bool is_quantity(const Json& value) { return value.is_number() || value.is_null(); }

int64_t integer(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->get<int64_t>() : 0;
}

std::string text(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

/// Values that a resumed run writes again take the place of the former.
void add_point(Series& series, double x, double y) {
  while (!series.x.empty() && series.x.back() >= x) {
    series.x.pop_back();
    series.y.pop_back();
  }
  series.x.push_back(x);
  series.y.push_back(y);
}

/// Calls `take` with every object of a file of one object per line. The last line of a running or
/// killed run may be incomplete; others that are not objects are a problem.
void for_each_object(const fs::path& path, RunRecord& run,
                     const std::function<void(const Json&)>& take) {
  if (!fs::exists(path)) return;
  std::ifstream lines(path);
  int64_t broken = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) continue;
    const auto object = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (object.is_object()) {
      take(object);
    } else if (!lines.eof()) {
      ++broken;
    }
  }
  const auto file = path.filename().string();
  if (lines.bad() || !lines.eof()) run.problems.push_back(file + ": could not be read to its end");
  if (broken > 0) run.problems.push_back(concat(file, ": lines that cannot be read: ", broken));
}

/// The last evaluation of a name counts, and nothing of those before: these may be of other images.
void add_result(EvaluationResult result, RunRecord& run) {
  std::erase_if(run.results,
                [&](const auto& one) { return one.first.starts_with(result.name + "."); });
  for (const auto& [metric, value] : result.metrics) {
    run.results[result.name + "." + metric] = value;
  }
  run.evaluations.push_back(std::move(result));
}

void add_evaluation(const Json& line, RunRecord& run) {
  const auto& eval = line["eval"];
  if (!eval.is_object() || !eval.contains("metrics") || !eval["metrics"].is_object()) return;
  EvaluationResult result{text(eval, "name"), integer(line, "step"), integer(line, "epoch"), {}};
  for (const auto& [metric, value] : eval["metrics"].items()) {
    if (!is_quantity(value)) continue;
    result.metrics[metric] = number_of(value);
  }
  add_result(std::move(result), run);
}

void add_step(const Json& line, RunRecord& run) {
  const auto step = integer(line, "step");
  // The last line counts: a run that was resumed goes back before it goes on.
  run.step = step;
  for (const auto& [key, value] : line.items()) {
    if (key == "step" || !is_quantity(value)) continue;
    add_point(run.by_step[key], static_cast<double>(step), number_of(value));
  }
  if (line.contains("loss")) run.results["loss"] = number_of(line["loss"]);
}

/// Columns that compare with classes say nothing of images without any, of which the first two are
/// 0 throughout.
void leave_out_classes(std::map<std::string, Series>& by_epoch) {
  const auto is_zero = [&](const char* name) {
    const auto found = by_epoch.find(name);
    return found != by_epoch.end() && std::all_of(found->second.y.begin(), found->second.y.end(),
                                                  [](double value) { return value == 0; });
  };
  if (!is_zero("train_nmi") || !is_zero("train_ari")) return;
  for (const char* name : {"train_nmi", "train_ari", "train_fscore"}) by_epoch.erase(name);
}

std::string option_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

void read_config_yaml(const fs::path& path, RunRecord& run) {
  if (!fs::exists(path)) return;
  try {
    run.keys = config::written_values(io::read_file(path), path.filename().string());
  } catch (const Error& error) {
    run.problems.push_back(error.what());
    return;
  }
  const auto epochs = run.keys.find("train.epochs");
  if (epochs != run.keys.end()) run.total_epochs = std::atoll(epochs->second.c_str());
}

void read_metrics(const fs::path& path, RunRecord& run) {
  for_each_object(path, run, [&](const Json& line) {
    if (line.contains("eval")) {
      add_evaluation(line, run);
    } else if (line.contains("fault")) {
      run.faults.push_back(
          {integer(line, "step"), integer(line, "epoch"), text(line, "fault"), text(line, "text")});
    } else if (line.contains("step")) {
      add_step(line, run);
    }
  });
}

void read_epochs(const fs::path& path, RunRecord& run) {
  for_each_object(path, run, [&](const Json& line) {
    if (!line.contains("epoch")) return;
    const auto epoch = integer(line, "epoch");
    run.epochs = epoch + 1;
    for (const auto& [key, value] : line.items()) {
      if (key == "epoch" || !is_quantity(value)) continue;
      add_point(run.by_epoch[key], static_cast<double>(epoch), number_of(value));
    }
    // An epoch's mean says more than that of the last few steps.
    if (line.contains("train_loss")) run.results["loss"] = number_of(line["train_loss"]);
  });
  leave_out_classes(run.by_epoch);
}

void read_log(const fs::path& path, RunRecord& run) {
  std::error_code unknown;
  if (!fs::is_regular_file(path, unknown)) return;
  constexpr int64_t kEnd = 1 << 16;
  std::ifstream file(path, std::ios::binary);
  const auto size = static_cast<int64_t>(fs::file_size(path, unknown));
  if (!unknown && size > kEnd) file.seekg(size - kEnd);
  std::string line, last;
  while (std::getline(file, line)) {
    if (!line.empty()) last = line;
  }
  // "2026-01-31 12:00:00 error training: ..."
  constexpr size_t kDate = 20;
  constexpr std::string_view kError = "error ";
  if (last.size() > kDate && last.compare(kDate, kError.size(), kError) == 0) {
    run.failure = last.substr(kDate + kError.size());
  }
}

void read_bad_samples(const fs::path& path, RunRecord& run) {
  for_each_object(path, run, [&](const Json& line) {
    run.bad_samples.push_back({integer(line, "epoch"), text(line, "path"), text(line, "reason")});
  });
}

void read_report(const fs::path& path, RunRecord& run) {
  const auto name = path.filename().string();
  const auto report = Json::parse(std::ifstream(path), nullptr, /*allow_exceptions=*/false);
  if (!report.is_object() || !report.contains("task") || !report.contains("metrics") ||
      !report["metrics"].is_object()) {
    run.problems.push_back(name + ": is not a report of ibot-eval");
    return;
  }
  // -1: of no step, an evaluation of its own.
  EvaluationResult result{text(report, "task"), -1, -1, {}};
  for (const auto& [metric, value] : report["metrics"].items()) {
    if (!is_quantity(value)) continue;
    result.metrics[metric] = number_of(value);
  }
  for (const char* key : {"weights", "data"}) {
    if (!text(report, key).empty()) run.keys.emplace(key, text(report, key));
  }
  const auto options = report.find("options");
  if (options != report.end() && options->is_object()) {
    for (const auto& [key, value] : options->items()) {
      run.keys.emplace(result.name + "." + key, option_text(value));
    }
  }
  add_result(std::move(result), run);
}

}  // namespace ibot::report
