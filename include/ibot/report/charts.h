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
/// Long curves are summarized, so that the charts of a page stay small: see curve_of.
std::vector<ChartGroup> run_charts(const std::vector<RunRecord>& runs);

/// The series, or, if it has more points than `most`, the mean of each of a quarter as many
/// intervals, with the smallest and the largest value as its band. Values that are not finite do
/// not count; an interval of such alone is NaN.
eval::Curve curve_of(const std::string& name, const Series& series, size_t most);

}  // namespace ibot::report
