// Curves as a picture.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace ibot::eval {

/// A curve through points; one that is not finite interrupts it. `low` and `high`, if there are
/// any, bound a band around it, which pages draw.
struct Curve {
  std::string name;
  std::vector<double> x;
  std::vector<double> y;
  std::vector<double> low = {};
  std::vector<double> high = {};
  /// Number of its color where charts share colors; none: its place in this chart.
  std::optional<size_t> color = {};
};

struct LineChart {
  std::string title;
  std::string x_label;
  std::string y_label;
  std::vector<Curve> curves;
  std::string note = {};  // below the chart of a page
};

/// The chart as an SVG document: axes with round numbers, a legend, and, on curves of up to 100
/// points, marks whose values show under the pointer. Needs no other file.
std::string to_svg(const LineChart& chart);

}  // namespace ibot::eval
