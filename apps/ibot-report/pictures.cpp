#include "ibot-report/pictures.h"

#include <algorithm>
#include <iterator>

#include "common/device.h"
#include "common/logging.h"
#include "common/run_main.h"
#include "common/run_pictures.h"
#include "ibot/config/yaml.h"
#include "ibot/report/kept_pictures.h"

namespace ibot::apps {
namespace {

using Runs = std::vector<const report::RunRecord*>;
using Sections = std::vector<report::PictureSection>;

constexpr size_t kMostByDefault = 4;

const report::RunRecord* run_named(const Runs& runs, const std::string& name) {
  std::string names;
  for (const auto* run : runs) {
    if (run->name == name) return run;
    names += (names.empty() ? "" : ", ") + run->name;
  }
  throw RequestError(concat("--pictures: expected ", names, ", got ", name));
}

/// The runs whose networks make pictures.
Runs chosen_runs(const std::vector<report::RunRecord>& runs,
                 const std::vector<std::string>& names) {
  Runs trained, chosen;
  for (const auto& run : runs) {
    if (run.task == "pretrain") trained.push_back(&run);
  }
  for (const auto& name : names) chosen.push_back(run_named(trained, name));
  if (!names.empty() || trained.size() <= kMostByDefault) return names.empty() ? trained : chosen;
  log_info(concat("report: pictures are of the first ", kMostByDefault, " of ", trained.size(),
                  " runs; --pictures NAME... chooses others"));
  trained.resize(kMostByDefault);
  return trained;
}

/// Of one run; none, with a warning, where its configuration cannot be used.
Sections pictures_of(const report::RunRecord& run, const PictureRequest& request) {
  try {
    auto config = config::read_config<config::RunConfig>(run.folder / "config.yaml");
    if (!request.data.empty()) {
      config.data.path = request.data;
      config.eval.path.clear();
    }
    return run_pictures(run.folder, config, choose_device("--device", request.device));
  } catch (const ConfigError& problem) {
    log_warning(concat("report: pictures of ", run.name, " are left out: ", problem.what()));
    return {};
  }
}

}  // namespace

Sections pictures_of(const std::vector<report::RunRecord>& runs, const PictureRequest& request) {
  std::vector<report::PicturesOfRun> learnt;
  if (!request.none) {
    for (const auto* run : chosen_runs(runs, request.runs)) {
      learnt.push_back({run->name, pictures_of(*run, request)});
    }
  }
  auto pictures = report::side_by_side(learnt);
  auto kept = report::kept_pictures(runs);
  std::move(kept.begin(), kept.end(), std::back_inserter(pictures));
  return pictures;
}

}  // namespace ibot::apps
