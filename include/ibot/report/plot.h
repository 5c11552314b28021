// Charts as pictures.
#pragma once

#include <string>

#include "ibot/eval/line_chart.h"

namespace ibot::report {

/// The drawing of eval::to_svg as a PNG, two pixels for one. Its words are in OpenCV's strokes,
/// which need no font of the machine: accents are dropped, letters other than Latin are '?'.
std::string to_png(const eval::LineChart& chart);

}  // namespace ibot::report
