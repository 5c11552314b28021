#include "ibot/eval/chart_drawing.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <sstream>

#include "ibot/base/error.h"

namespace ibot::eval {
namespace {

// Pixels.
constexpr double kWidth = 640, kPlotHeight = 400;
constexpr double kLeft = 64, kRight = 16, kTop = 40, kBottom = 52;
constexpr double kLegendLine = 18;
constexpr size_t kMostMarks = 100;  // on a curve

// Okabe and Ito's, told apart by the color-blind too.
constexpr std::array<ChartColor, 7> kColors{"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                            "#e69f00", "#56b4e9", "#000000"};
constexpr ChartColor kGridColor = "#dddddd";

/// From round number to round number, a few steps apart.
struct Axis {
  double low = 0;
  double high = 1;
  double step = 1;

  double share(double value) const { return (value - low) / (high - low); }
};

/// 1, 2 or 5 times a power of ten.
double round_step(double range) {
  const double rough = range / 5;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double times : {1.0, 2.0, 5.0}) {
    if (rough <= times * power) return times * power;
  }
  return 10 * power;
}

using Values = std::vector<double> Curve::*;

Axis axis_of(const std::vector<Curve>& curves, std::initializer_list<Values> columns) {
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (const auto& curve : curves) {
    for (const auto column : columns) {
      for (const double value : curve.*column) {
        if (!std::isfinite(value)) continue;
        low = std::min(low, value);
        high = std::max(high, value);
      }
    }
  }
  if (low > high) return {};
  if (low == high) {
    low -= 0.5;
    high += 0.5;
  }
  const double step = round_step(high - low);
  return {std::floor(low / step) * step, std::ceil(high / step) * step, step};
}

std::string number_text(double value, double step) {
  std::ostringstream text;
  text << (std::abs(value) < step / 1000 ? 0.0 : value);
  return text.str();
}

class Layout {
 public:
  explicit Layout(const LineChart& chart)
      : chart_(chart),
        x_(axis_of(chart.curves, {&Curve::x})),
        y_(axis_of(chart.curves, {&Curve::y, &Curve::low, &Curve::high})) {}

  ChartDrawing drawing() {
    const auto count = static_cast<double>(chart_.curves.size());
    drawing_.width = kWidth;
    drawing_.height = kPlotHeight + kLegendLine * count;
    add_text({kWidth / 2, 22}, chart_.title, TextAnchor::kMiddle, 15);
    add_grid();
    for (size_t i = 0; i < chart_.curves.size(); ++i) {
      const auto* color = kColors[chart_.curves[i].color.value_or(i) % kColors.size()];
      add_band(chart_.curves[i], color);
      add_curve(chart_.curves[i], color);
      add_legend(i, color);
    }
    return std::move(drawing_);
  }

 private:
  double pixel_x(double value) const { return kLeft + x_.share(value) * (kWidth - kLeft - kRight); }
  double pixel_y(double value) const {
    return kPlotHeight - kBottom - y_.share(value) * (kPlotHeight - kTop - kBottom);
  }

  void add_text(ChartPoint at, const std::string& words, TextAnchor anchor, double size = 12) {
    drawing_.texts.push_back({at, words, anchor, size});
  }

  void add_grid() {
    const double bottom = kPlotHeight - kBottom;
    for (double value = x_.low; value <= x_.high + x_.step / 2; value += x_.step) {
      const double x = pixel_x(value);
      drawing_.lines.push_back({{{x, kTop}, {x, bottom}}, kGridColor});
      add_text({x, bottom + 18}, number_text(value, x_.step), TextAnchor::kMiddle);
    }
    for (double value = y_.low; value <= y_.high + y_.step / 2; value += y_.step) {
      const double y = pixel_y(value);
      drawing_.lines.push_back({{{kLeft, y}, {kWidth - kRight, y}}, kGridColor});
      add_text({kLeft - 6, y + 4}, number_text(value, y_.step), TextAnchor::kEnd);
    }
    add_text({kWidth / 2, kPlotHeight - 12}, chart_.x_label, TextAnchor::kMiddle);
    drawing_.texts.push_back(
        {{16, kPlotHeight / 2}, chart_.y_label, TextAnchor::kMiddle, 12, /*upright=*/true});
  }

  void add_band(const Curve& curve, ChartColor color) {
    ChartBand band{{}, color};
    const auto count = std::min({curve.x.size(), curve.low.size(), curve.high.size()});
    const auto add = [&](size_t i, double value) {
      if (std::isfinite(curve.x[i]) && std::isfinite(value)) {
        band.points.push_back({pixel_x(curve.x[i]), pixel_y(value)});
      }
    };
    for (size_t i = 0; i < count; ++i) add(i, curve.high[i]);
    for (size_t i = count; i-- > 0;) add(i, curve.low[i]);
    if (!band.points.empty()) drawing_.bands.push_back(std::move(band));
  }

  void add_curve(const Curve& curve, ChartColor color) {
    ChartLine line{{}, color, 2};
    const auto end_line = [&] {
      if (!line.points.empty()) drawing_.lines.push_back(line);
      line.points.clear();
    };
    for (size_t i = 0; i < std::min(curve.x.size(), curve.y.size()); ++i) {
      if (!std::isfinite(curve.x[i]) || !std::isfinite(curve.y[i])) {
        end_line();
        continue;
      }
      const ChartPoint at{pixel_x(curve.x[i]), pixel_y(curve.y[i])};
      line.points.push_back(at);
      if (curve.x.size() > kMostMarks) continue;
      drawing_.marks.push_back({at, color, concat(curve.name, ": ", curve.x[i], ", ", curve.y[i])});
    }
    end_line();
  }

  void add_legend(size_t number, ChartColor color) {
    const double y = kPlotHeight + kLegendLine * (static_cast<double>(number) + 0.5);
    drawing_.keys.push_back({{kLeft, y - 9}, 10, color});
    add_text({kLeft + 16, y}, chart_.curves[number].name, TextAnchor::kStart);
  }

  const LineChart& chart_;
  Axis x_;
  Axis y_;
  ChartDrawing drawing_;
};

}  // namespace

ChartDrawing drawing_of(const LineChart& chart) { return Layout(chart).drawing(); }

}  // namespace ibot::eval
