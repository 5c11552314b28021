#include "ibot-eval/result_folder.h"

#include <ctime>
#include <nlohmann/json.hpp>

#include "common/logging.h"
#include "common/run_main.h"
#include "common/run_report.h"
#include "ibot/base/error.h"
#include "ibot/base/hash.h"
#include "ibot/base/version.h"
#include "ibot/config/yaml.h"
#include "ibot/eval/page.h"
#include "ibot/io/file.h"
#include "ibot/report/charts.h"
#include "ibot/report/run_record.h"

namespace ibot::apps {
namespace {

namespace fs = std::filesystem;

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string page_of(const eval::Report& report, const report::RunRecord& run) {
  eval::Page page("ibot-eval " + report.task);
  eval::add_report(page, report);
  for (const auto& group : report::run_charts({run})) {
    if (group.charts.empty()) continue;
    page.heading(group.title);
    page.charts(group.charts);
  }
  return page.html();
}

}  // namespace

void stamp(eval::Report& report) {
  report.date = utc_now();
  report.version = concat(kVersion, *commit() ? " " : "", commit());
}

ResultFolder::ResultFolder(fs::path folder) : folder_(std::move(folder)) {
  std::error_code error;
  made_ = fs::create_directories(folder_, error);
  IBOT_CHECK_AS(RequestError, !error, folder_.string(),
                ": cannot create the folder: ", error.message());
  lock_.emplace(folder_);
}

ResultFolder::~ResultFolder() {
  std::error_code ignored;
  const fs::directory_iterator entries(folder_, ignored);
  if (!made_ || ignored || std::distance(begin(entries), end(entries)) > 1) return;
  fs::remove(folder_ / ".lock", ignored);
  fs::remove(folder_, ignored);
}

void ResultFolder::keep_other(const eval::Report& report) const {
  const auto file = folder_ / "report.json";
  std::error_code unknown;
  if (!fs::exists(file, unknown)) return;
  const auto former = nlohmann::json::parse(io::read_file(file), nullptr, /*exceptions=*/false);
  if (!former.is_object()) return;
  const auto task = former.value("task", std::string("unknown"));
  const auto identity = former.value("identity", std::map<std::string, std::string>());
  if (task == report.task && identity == report.identity) return;
  Hash hash;
  for (const auto& [item, value] : identity) hash.add(concat(item, ": ", value, '\n'));
  const auto name = concat("report-", task, "-", hash.hex().substr(0, 8), ".json");
  fs::rename(file, folder_ / name, unknown);
  if (!unknown) log_info(concat("the earlier report, of another result, is now ", name));
}

void ResultFolder::write(const eval::Report& report, torch::Device device) const {
  keep_other(report);
  io::write_file(folder_ / "report.json", eval::to_json(report));
  const auto run = report::read_run(folder_);
  if (run.task == "pretrain") return renew_page_of_run(report, device);
  io::write_file(folder_ / "report.html", page_of(report, run));
}

void ResultFolder::renew_page_of_run(const eval::Report& report, torch::Device device) const {
  std::vector<report::PictureSection> pictures;
  if (!report.figures.empty()) {
    pictures.push_back({"Pictures of " + report.task, "", report.figures});
  }
  try {
    const auto config = config::read_config<config::RunConfig>(folder_ / "config.yaml");
    write_run_report(folder_, config, device, pictures);
  } catch (const ConfigError& problem) {
    log_warning(concat("report: ", problem.what(), "; the page stays as it was"));
  }
}

}  // namespace ibot::apps
