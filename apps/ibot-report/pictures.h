// Pictures of runs on their page.
#pragma once

#include <string>
#include <vector>

#include "ibot/report/report_page.h"
#include "ibot/report/run_record.h"

namespace ibot::apps {

struct PictureRequest {
  bool none = false;              // that need a network
  std::vector<std::string> runs;  // of whose networks, by name; empty: the first four
  std::string data;               // images; empty: those of each run
  std::string device = "auto";
};

/// What the networks of pre-trainings make of images, runs side by side, then pictures that tasks
/// left. Throws RequestError where a run asked for is not there.
std::vector<report::PictureSection> pictures_of(const std::vector<report::RunRecord>& runs,
                                                const PictureRequest& request);

}  // namespace ibot::apps
