// ibot-report: what runs learnt, as one page.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>

#include "common/device.h"
#include "common/logging.h"
#include "common/output_folder.h"
#include "common/run_main.h"
#include "common/run_pictures.h"
#include "ibot/config/yaml.h"
#include "ibot/eval/line_chart.h"
#include "ibot/io/file.h"
#include "ibot/report/charts.h"
#include "ibot/report/kept_pictures.h"
#include "ibot/report/report_page.h"

namespace ibot::apps {
namespace {

namespace fs = std::filesystem;

struct ReportArguments {
  std::vector<std::string> folders;
  std::string output;
  std::string plots;
  std::string data;
  std::string device = "auto";
  bool no_pictures = false;
};

void add_report_arguments(CLI::App& app, ReportArguments& arguments) {
  app.add_option("DIR", arguments.folders,
                 "Folders of runs, of tasks of ibot-eval, or folders with such at any depth")
      ->required();
  app.add_option("--output", arguments.output,
                 "The page; default: report.html in DIR, of several in the current folder");
  app.add_option("--plots", arguments.plots, "Also writes each chart into this folder, as an SVG");
  app.add_option("--data", arguments.data,
                 "Images for pictures of what a run learnt; default: those of its configuration");
  app.add_option("--device", arguments.device,
                 "Where networks run for these: auto (default), cpu, cuda or cuda:N")
      ->option_text("DEVICE");
  app.add_flag("--no-pictures", arguments.no_pictures, "No pictures that need the network");
}

std::vector<report::RunRecord> open_runs(const std::vector<std::string>& folders) {
  for (const auto& folder : folders) {
    IBOT_CHECK_AS(RequestError, fs::is_directory(folder), folder,
                  ": expected a folder of runs, found ", fs::exists(folder) ? "a file" : "nothing");
    IBOT_CHECK_AS(RequestError, !report::find_runs(folder).empty(), folder,
                  ": expected a folder with metrics.jsonl, log.txt or report.json, or such folders "
                  "below it, found none");
  }
  return report::read_runs({folders.begin(), folders.end()});
}

/// A name for a file: letters, digits, '-', '.' and '_'.
std::string file_name(const std::string& title) {
  std::string name;
  for (const char c : title) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.';
    if (plain || name.empty() || name.back() != '_') name += plain ? c : '_';
  }
  return name;
}

int64_t write_plots(const fs::path& folder, const std::vector<report::RunRecord>& runs) {
  prepare_folder(folder);
  int64_t written = 0;
  for (const auto& group : report::run_charts(runs)) {
    for (const auto& chart : group.charts) {
      const auto name = file_name(group.title) + "-" + file_name(chart.title) + ".svg";
      io::write_file(folder / name, eval::to_svg(chart));
      ++written;
    }
  }
  return written;
}

/// Of the only pre-training among the runs: several would take as many times as long.
std::vector<report::PictureSection> pictures_of(const ReportArguments& arguments,
                                                const std::vector<report::RunRecord>& runs) {
  auto kept = report::kept_pictures(runs);
  const auto trained = [](const report::RunRecord& run) { return run.task == "pretrain"; };
  const auto found = std::find_if(runs.begin(), runs.end(), trained);
  if (arguments.no_pictures || std::count_if(runs.begin(), runs.end(), trained) != 1) return kept;
  std::vector<report::PictureSection> pictures;
  try {
    auto config = config::read_config<config::RunConfig>(found->folder / "config.yaml");
    if (!arguments.data.empty()) {
      config.data.path = arguments.data;
      config.eval.path.clear();
    }
    pictures = run_pictures(found->folder, config, choose_device("--device", arguments.device));
  } catch (const ConfigError& problem) {
    log_warning(concat("report: pictures of what was learnt are left out: ", problem.what()));
  }
  pictures.insert(pictures.end(), kept.begin(), kept.end());
  return pictures;
}

int run(const ReportArguments& arguments) {
  const auto& folders = arguments.folders;
  const fs::path page = !arguments.output.empty() ? fs::path(arguments.output)
                        : folders.size() == 1     ? fs::path(folders.front()) / "report.html"
                                                  : "report.html";
  const auto runs = open_runs(folders);
  check_file(page);
  if (!arguments.plots.empty()) check_folder(arguments.plots);
  io::write_file(page, report::report_html(runs, pictures_of(arguments, runs)));
  std::cout << page.string() << ": " << runs.size() << (runs.size() == 1 ? " run\n" : " runs\n");
  if (arguments.plots.empty()) return kDone;
  const auto plots = write_plots(arguments.plots, runs);
  std::cout << arguments.plots << ": " << plots << (plots == 1 ? " plot\n" : " plots\n");
  return kDone;
}

}  // namespace
}  // namespace ibot::apps

int main(int argc, char** argv) {
  CLI::App app(
      "Shows runs as one HTML page: curves, evaluations, pictures, configurations, faults.",
      "ibot-report");
  ibot::apps::ReportArguments arguments;
  ibot::apps::add_report_arguments(app, arguments);
  return ibot::apps::run_main(app, argc, argv, [&] { return ibot::apps::run(arguments); });
}
