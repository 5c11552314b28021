#include "ibot/report/run_record.h"

#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "ibot/base/natural_order.h"
#include "report/run_files.h"

namespace ibot::report {
namespace {

namespace fs = std::filesystem;

/// Levels of folders below the one named in which runs are looked for.
constexpr int kDeepest = 6;

int64_t written_at(const fs::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? static_cast<int64_t>(status.st_mtime) : 0;
}

/// Files of a folder, or its folders, sorted; none if it cannot be listed.
std::vector<fs::path> entries_of(const fs::path& folder, bool folders) {
  std::vector<fs::path> entries;
  std::error_code problem;
  fs::directory_iterator at(folder, fs::directory_options::skip_permission_denied, problem);
  for (; !problem && at != fs::directory_iterator(); at.increment(problem)) {
    std::error_code unknown;
    // Links to folders are not followed: they may lead back.
    const bool fits = folders ? at->is_directory(unknown) && !at->is_symlink(unknown)
                              : at->is_regular_file(unknown);
    if (fits) entries.push_back(at->path());
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

bool is_report(const std::string& name) {
  return name.starts_with("report") && name.ends_with(".json");
}

bool holds_results(const fs::path& folder) {
  std::error_code unknown;
  for (const char* file : {"metrics.jsonl", "log.txt", "report.json"}) {
    if (fs::is_regular_file(folder / file, unknown)) return true;
  }
  return false;
}

/// Folders within a run that hold thousands of files and no run.
bool is_part_of_run(const fs::path& folder) {
  static const std::set<std::string> parts{"checkpoints", "tensorboard", "features", "replay"};
  return parts.contains(folder.filename().string());
}

void collect_runs(const fs::path& folder, int depth, std::vector<fs::path>& found) {
  if (holds_results(folder)) found.push_back(folder);
  if (depth == kDeepest) return;
  for (const auto& inner : entries_of(folder, true)) {
    if (!is_part_of_run(inner)) collect_runs(inner, depth + 1, found);
  }
}

bool is_done(const RunRecord& run) {
  // A task writes its report when it has ended.
  if (run.task != "pretrain") return run.task != "training";
  const auto most = run.keys.find("train.max_steps");
  const int64_t max_steps = most == run.keys.end() ? 0 : std::atoll(most->second.c_str());
  if (max_steps > 0 && run.step >= max_steps) return true;
  return run.total_epochs > 0 && run.epochs >= run.total_epochs;
}

fs::path absolute_of(const fs::path& folder) {
  std::error_code problem;
  auto path = fs::weakly_canonical(folder, problem);
  if (problem) path = fs::absolute(folder).lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

/// Leading parts that all paths share.
fs::path common_parent(const std::vector<fs::path>& paths) {
  auto parent = paths.front().parent_path();
  for (const auto& path : paths) {
    fs::path shared;
    auto theirs = path.parent_path();
    auto at = theirs.begin();
    for (const auto& part : parent) {
      if (at == theirs.end() || *at != part) break;
      shared /= part;
      ++at;
    }
    parent = shared;
  }
  return parent;
}

}  // namespace

RunRecord read_run(const fs::path& folder) {
  RunRecord run;
  run.folder = folder;
  run.name = absolute_of(folder).filename().string();
  read_config_yaml(folder / "config.yaml", run);
  if (run.keys.contains("train.epochs")) run.task = "pretrain";
  read_metrics(folder / "metrics.jsonl", run);
  read_epochs(folder / "log.txt", run);
  read_log(folder / "log", run);
  for (const auto& file : entries_of(folder, false)) {
    const auto name = file.filename().string();
    if (name.starts_with("bad_samples") && name.ends_with(".jsonl")) read_bad_samples(file, run);
    if (!is_report(name)) continue;
    read_report(file, run);
    run.written_s = std::max(run.written_s, written_at(file));
  }
  // The report of a task comes last and says which one it is.
  if (run.task == "training" && !run.evaluations.empty() && run.evaluations.back().step < 0) {
    run.task = run.evaluations.back().name;
  }
  for (const char* file : {"metrics.jsonl", "log.txt"}) {
    run.written_s = std::max(run.written_s, written_at(folder / file));
  }
  run.done = is_done(run);
  return run;
}

std::vector<fs::path> find_runs(const fs::path& where) {
  std::vector<fs::path> found;
  collect_runs(where, 0, found);
  return found;
}

std::vector<RunRecord> read_runs(const std::vector<fs::path>& folders) {
  std::vector<RunRecord> runs;
  std::vector<fs::path> paths;
  std::set<fs::path> known;
  for (const auto& folder : folders) {
    for (const auto& found : find_runs(folder)) {
      auto path = absolute_of(found);
      // A run that is named twice, or found below another, counts once.
      if (!known.insert(path).second) continue;
      runs.push_back(read_run(found));
      paths.push_back(std::move(path));
    }
  }
  if (runs.size() < 2) return runs;
  const auto parent = common_parent(paths);
  for (size_t i = 0; i < runs.size(); ++i) {
    // As short as tells them apart.
    runs[i].name = paths[i].lexically_relative(parent).string();
  }
  return runs;
}

std::string main_metric(const std::set<std::string>& metrics) {
  std::vector<std::string> sorted(metrics.begin(), metrics.end());
  std::sort(sorted.begin(), sorted.end(), natural_less);
  for (const char* known : {"top1", "accuracy", "acc", "miou", "box_ap", "map", "mean"}) {
    for (const auto& metric : sorted) {
      if (metric.starts_with(known)) return metric;
    }
  }
  return sorted.empty() ? "" : sorted.front();
}

std::string main_result(const std::vector<RunRecord>& runs) {
  std::map<std::string, std::set<std::string>> evaluations;
  for (const auto& run : runs) {
    for (const auto& [name, value] : run.results) {
      const auto dot = name.find('.');
      if (dot != std::string::npos) evaluations[name.substr(0, dot)].insert(name.substr(dot + 1));
    }
  }
  if (evaluations.empty()) return "loss";
  const auto& [name, metrics] = *evaluations.begin();
  return name + "." + main_metric(metrics);
}

std::vector<std::string> differing_keys(const std::vector<RunRecord>& runs) {
  std::set<std::string> all;
  for (const auto& run : runs) {
    for (const auto& [key, value] : run.keys) all.insert(key);
  }
  std::vector<std::string> differing;
  const auto value_in = [](const RunRecord& run, const std::string& key) -> const std::string* {
    const auto found = run.keys.find(key);
    return found == run.keys.end() ? nullptr : &found->second;
  };
  for (const auto& key : all) {
    const auto* first = value_in(runs.front(), key);
    const bool differs = std::any_of(runs.begin(), runs.end(), [&](const RunRecord& run) {
      const auto* other = value_in(run, key);
      return first == nullptr || other == nullptr || *first != *other;
    });
    if (differs) differing.push_back(key);
  }
  return differing;
}

}  // namespace ibot::report
