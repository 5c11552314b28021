#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "evaluation/robustness_tests.h"
#include "evaluation/table.h"
#include "ibot/base/error.h"
#include "ibot/eval/imagenet.h"
#include "ibot/eval/line_chart.h"
#include "ibot/eval/robustness.h"

namespace ibot::evaluation {
namespace {

namespace fs = std::filesystem;

std::string listed(const std::vector<std::string>& names) {
  std::string list;
  for (const auto& name : names) list += (list.empty() ? "" : ", ") + name;
  return list;
}

bool is_severity(const std::string& name) {
  return name.size() == 1 && name[0] >= '1' && name[0] < '1' + eval::kSeverities;
}

bool is_known(const std::string& corruption) {
  const auto& known = eval::imagenet_c_corruptions();
  return std::find(known.begin(), known.end(), corruption) != known.end();
}

/// By their names; hidden ones are left out.
std::map<std::string, fs::path> folders_in(const fs::path& root) {
  std::map<std::string, fs::path> folders;
  for (const auto& entry : fs::directory_iterator(root)) {
    const auto name = entry.path().filename().string();
    if (entry.is_directory() && name.front() != '.') folders.emplace(name, entry.path());
  }
  return folders;
}

bool is_corruption(const std::string& name, const fs::path& folder) {
  const auto below = folders_in(folder);
  return is_known(name) || std::any_of(below.begin(), below.end(),
                                       [](const auto& it) { return is_severity(it.first); });
}

/// Folders with severities below `root`, by their names: directly, or one level further down, in
/// the categories in which they are published.
std::map<std::string, fs::path> corruption_folders(const fs::path& root) {
  std::map<std::string, fs::path> found;
  for (const auto& [name, folder] : folders_in(root)) {
    if (is_corruption(name, folder)) {
      found.emplace(name, folder);
      continue;
    }
    for (const auto& [below, path] : folders_in(folder)) {
      if (is_corruption(below, path)) found.emplace(below, path);
    }
  }
  return found;
}

void check_severities(const fs::path& corruption) {
  for (const auto& [name, folder] : folders_in(corruption)) {
    IBOT_CHECK_AS(DataError, is_severity(name), folder.string(),
                  ": expected folders of severities 1 to ", eval::kSeverities, ", got ", name);
  }
}

/// Errors by corruption and severity.
class ImagenetCTest : public RobustnessTest {
 public:
  explicit ImagenetCTest(const RobustnessInputs& inputs) {
    const auto folders = chosen_folders(inputs);
    for (const auto& corruption : eval::imagenet_c_corruptions()) {
      const auto folder = folders.find(corruption);
      if (folder != folders.end()) add(inputs, corruption, folder->second);
    }
    IBOT_CHECK_AS(DataError, !sets_.empty(), inputs.folder.string(),
                  ": expected folders CORRUPTION/1 to CORRUPTION/", eval::kSeverities,
                  ", found none");
    note_missing();
  }

  void add_to(eval::Report& report, const std::vector<eval::FeatureBank>& banks) const override {
    const auto& names = eval::imagenet_c_corruptions();
    // [corruptions, severities]; NaN where there are no images.
    const auto error = torch::full({static_cast<int64_t>(names.size()), eval::kSeverities},
                                   std::nan(""), torch::kDouble);
    for (size_t i = 0; i < banks.size(); ++i) {
      const auto right = banks[i].features.select(1, 0).to(torch::kLong) ==
                         places_[i].classes.index_select(0, banks[i].labels);
      error[places_[i].corruption][places_[i].severity - 1] = 1.0 - percent_of(right) / 100.0;
    }
    const auto found = eval::corruption_errors(error, eval::kBenchmarkCorruptions);
    for (size_t i = 0; i < names.size(); ++i) add(report, names[i], found.each[i]);
    // Named after what they are of, so that a part is not taken for the whole.
    add(report, mean_name(names.size()), found.mean);
    add(report, mean_name(eval::kBenchmarkCorruptions), found.benchmark_mean);
    add_table(report, error);
  }

 private:
  struct Place {
    int64_t corruption = 0;
    int64_t severity = 0;
    torch::Tensor classes;  // of the classifier, by the number of the folder
  };

  static std::map<std::string, fs::path> chosen_folders(const RobustnessInputs& inputs) {
    auto folders = corruption_folders(inputs.folder);
    const auto check = [&](const std::string& name, const std::string& where) {
      IBOT_CHECK_AS(DataError, is_known(name), where, ": expected corruptions of ImageNet-C (",
                    listed(eval::imagenet_c_corruptions()), "), got ", name);
    };
    const auto& wanted = inputs.options.corruptions;
    if (wanted.empty()) {
      for (const auto& [name, folder] : folders) check(name, inputs.folder.string());
      return folders;
    }
    std::map<std::string, fs::path> chosen;
    for (const auto& name : wanted) {
      check(name, "robustness.corruptions");
      IBOT_CHECK_AS(DataError, folders.count(name) > 0, inputs.folder.string(),
                    ": expected a folder ", name, ", found none");
      chosen.insert(*folders.find(name));
    }
    return chosen;
  }

  void add(const RobustnessInputs& inputs, const std::string& corruption, const fs::path& folder) {
    const auto& known = eval::imagenet_c_corruptions();
    const auto number = std::find(known.begin(), known.end(), corruption) - known.begin();
    check_severities(folder);
    for (int64_t severity = 1; severity <= eval::kSeverities; ++severity) {
      const auto images = folder / std::to_string(severity);
      if (!fs::is_directory(images)) continue;
      sets_.push_back(
          predicted_set(inputs, "imagenet_c", concat(corruption, ' ', severity), images));
      // By name: the official label, a folder's position, is right only where all 1000 are there.
      places_.push_back({number, severity,
                         torch::tensor(places_of(sets_.back().images->class_names(),
                                                 inputs.subject.classes, images),
                                       torch::kLong)});
    }
  }

  void note_missing() {
    const auto& known = eval::imagenet_c_corruptions();
    const auto all = known.size() * eval::kSeverities;
    if (sets_.size() == all) return;
    std::string missing;
    for (size_t i = 0; i < known.size(); ++i) {
      std::string severities;
      int64_t there = 0;
      for (int64_t severity = 1; severity <= eval::kSeverities; ++severity) {
        const bool has = std::any_of(places_.begin(), places_.end(), [&](const auto& place) {
          return place.corruption == static_cast<int64_t>(i) && place.severity == severity;
        });
        there += has ? 1 : 0;
        if (!has) severities += concat(severities.empty() ? " " : "+", severity);
      }
      if (there == eval::kSeverities) continue;
      missing += (missing.empty() ? "" : ", ") + known[i] + (there == 0 ? "" : severities);
    }
    notes_.push_back(concat("imagenet_c: ", sets_.size(), " of ", all,
                            " sets; means are over these; missing: ", missing));
  }

  /// "imagenet_c_error_15", or where not all are there "imagenet_c_error_3_of_15".
  std::string mean_name(size_t of) const {
    std::vector<bool> there(of, false);
    size_t sets = 0;
    for (const auto& place : places_) {
      if (static_cast<size_t>(place.corruption) >= of) continue;
      there[static_cast<size_t>(place.corruption)] = true;
      ++sets;
    }
    const auto count = static_cast<size_t>(std::count(there.begin(), there.end(), true));
    const auto name = count == of ? concat("imagenet_c_error_", of)
                                  : concat("imagenet_c_error_", count, "_of_", of);
    return sets == count * eval::kSeverities ? name : name + "_severities_missing";
  }

  static void add(eval::Report& report, const std::string& name, std::optional<double> error) {
    if (!error) return;
    const auto metric = name.starts_with("imagenet_c_") ? name : concat("imagenet_c_error_", name);
    report.metrics[metric] = *error;
    add_line(report, metric, *error);
  }

  static void add_table(eval::Report& report, const torch::Tensor& error) {
    const auto shown = [](double share) {
      if (std::isnan(share)) return std::string("-");
      char text[16];
      std::snprintf(text, sizeof(text), "%.2f", 100.0 * share);
      return std::string(text);
    };
    eval::Table table{"Error in percent by corruption and severity", {"corruption"}, {}};
    eval::Curve curve{"mean over corruptions", {}, {}};
    for (int64_t severity = 1; severity <= eval::kSeverities; ++severity) {
      table.header.push_back(std::to_string(severity));
      curve.x.push_back(static_cast<double>(severity));
      curve.y.push_back(100.0 * error.select(1, severity - 1).nanmean().item<double>());
    }
    const auto& names = eval::imagenet_c_corruptions();
    for (size_t i = 0; i < names.size(); ++i) {
      const auto row = error[static_cast<int64_t>(i)];
      if (row.isnan().all().item<bool>()) continue;
      table.rows.push_back({names[i]});
      for (int64_t j = 0; j < row.size(0); ++j) {
        table.rows.back().push_back(shown(row[j].item<double>()));
      }
    }
    report.tables.push_back(std::move(table));
    report.figures.push_back(
        {"Error under corruptions", "image/svg+xml",
         eval::to_svg({"ImageNet-C", "severity", "error in percent", {std::move(curve)}})});
  }

  std::vector<Place> places_;  // of the sets
};

}  // namespace

std::unique_ptr<RobustnessTest> imagenet_c_test(const RobustnessInputs& inputs) {
  return std::make_unique<ImagenetCTest>(inputs);
}

}  // namespace ibot::evaluation
