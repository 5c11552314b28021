// ibot-report: what runs learnt, as one page.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <filesystem>
#include <iostream>

#include "common/output_folder.h"
#include "common/run_main.h"
#include "ibot-report/pictures.h"
#include "ibot/eval/line_chart.h"
#include "ibot/io/file.h"
#include "ibot/report/charts.h"
#include "ibot/report/plot.h"
#include "ibot/report/report_page.h"

namespace ibot::apps {
namespace {

namespace fs = std::filesystem;

struct ReportArguments {
  std::vector<std::string> folders;
  std::string output;
  std::string plots;
  PictureRequest pictures;
};

void add_report_arguments(CLI::App& app, ReportArguments& arguments) {
  app.add_option("DIR", arguments.folders,
                 "Folders of runs, of tasks of ibot-eval, or folders with such at any depth")
      ->required();
  app.add_option("--output", arguments.output,
                 "The page; default: report.html in DIR; of several, and of a task of ibot-eval, "
                 "which has written its own, in the current folder");
  app.add_option("--plots", arguments.plots,
                 "Also writes each chart into this folder, as an SVG and a PNG");
  app.add_option("--data", arguments.pictures.data,
                 "Images for pictures of what a run learnt; default: those of its configuration");
  app.add_option("--device", arguments.pictures.device,
                 "Where networks run for these: auto (default), cpu, cuda or cuda:N")
      ->option_text("DEVICE");
  app.add_option("--pictures", arguments.pictures.runs,
                 "Runs, by their names on the page, of whose networks pictures are made; default: "
                 "the first four")
      ->option_text("RUN...");
  app.add_flag("--no-pictures", arguments.pictures.none, "No pictures that need the network");
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
      const auto name = file_name(group.title) + "-" + file_name(chart.title);
      io::write_file(folder / (name + ".svg"), eval::to_svg(chart));
      io::write_file(folder / (name + ".png"), report::to_png(chart));
      ++written;
    }
  }
  return written;
}

/// Where the page goes if nothing is said.
fs::path usual_page(const std::vector<report::RunRecord>& runs,
                    const std::vector<std::string>& folders) {
  const bool has_own = runs.size() == 1 && runs.front().task != "pretrain" && runs.front().done;
  return folders.size() > 1 || has_own ? "report.html" : fs::path(folders.front()) / "report.html";
}

int run(const ReportArguments& arguments) {
  const auto runs = open_runs(arguments.folders);
  const fs::path page =
      arguments.output.empty() ? usual_page(runs, arguments.folders) : fs::path(arguments.output);
  check_file(page);
  if (!arguments.plots.empty()) check_folder(arguments.plots);
  io::write_file(page, report::report_html(runs, pictures_of(runs, arguments.pictures)));
  std::cout << page.string() << ": " << runs.size() << (runs.size() == 1 ? " run\n" : " runs\n");
  if (arguments.plots.empty()) return kDone;
  const auto plots = write_plots(arguments.plots, runs);
  std::cout << arguments.plots << ": " << plots << (plots == 1 ? " plot" : " plots")
            << ", as SVG and PNG\n";
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
