// The quantities of runs as charts, runs overlaid.
#pragma once

#include <string>
#include <vector>

#include "ibot/eval/line_chart.h"
#include "ibot/report/run_record.h"

namespace ibot::report {

/// Charts of a kind of quantities. `constant` names those that had one value throughout, which are
/// not drawn, with that value.
struct ChartGroup {
  std::string title;
  std::vector<eval::LineChart> charts;
  std::vector<std::string> constant;
};

/// Columns of logs and metrics of evaluations, one chart a quantity, or one for six and more whose
/// names differ in a number. Curves are called as their run, or "RUN · NUMBER".
///
/// Long curves are thinned so that all charts have some 240 000 points at most: of each interval
/// the smallest and the largest value stay, and the first and last point; the chart's note says so.
std::vector<ChartGroup> run_charts(const std::vector<RunRecord>& runs);

/// At most about `most` points (four at least): the first, the last, and the smallest and largest
/// value of each of equally many in between. An interval without numbers is one NaN.
Series thinned(const Series& series, size_t most);

}  // namespace ibot::report
