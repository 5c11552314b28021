// Pictures that tasks left in their folders.
#pragma once

#include <vector>

#include "ibot/report/report_page.h"
#include "ibot/report/run_record.h"

namespace ibot::report {

/// For each run with .png or .jpg files in its folder or in drawings/ there: the first twelve by
/// name, those above 4 MB left out. Files of other kinds under such a name are left out.
std::vector<PictureSection> kept_pictures(const std::vector<RunRecord>& runs);

}  // namespace ibot::report
