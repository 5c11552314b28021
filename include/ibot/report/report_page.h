// Runs as one HTML page that needs no other file.
#pragma once

#include <string>
#include <vector>

#include "ibot/eval/page.h"
#include "ibot/report/run_record.h"

namespace ibot::report {

/// Pictures under a heading of their own.
struct PictureSection {
  std::string title;
  std::string text;
  std::vector<eval::Figure> figures;
};

struct PicturesOfRun {
  std::string name;
  std::vector<PictureSection> sections;
};

/// Sections of several runs: those of one title become one, with a picture of each run under its
/// name. Of one run its own.
std::vector<PictureSection> side_by_side(const std::vector<PicturesOfRun>& runs);

/// The page: the runs with their state and main results, curves with runs overlaid, tables of
/// evaluations, pictures, what differs between configurations and all keys, faults and images that
/// could not be read.
std::string report_html(const std::vector<RunRecord>& runs,
                        const std::vector<PictureSection>& pictures = {});

}  // namespace ibot::report
