#include "ibot/eval/line_chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <sstream>

#include "ibot/eval/page.h"

namespace ibot::eval {
namespace {

// Pixels.
constexpr double kWidth = 640, kHeight = 400;
constexpr double kLeft = 64, kRight = 16, kTop = 40, kBottom = 52;
constexpr double kLegendLine = 18;
constexpr size_t kMostMarks = 100;  // on a curve

// Okabe and Ito's, told apart by the color-blind too.
constexpr std::array<const char*, 7> kColors{"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                             "#e69f00", "#56b4e9", "#000000"};

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

Axis axis_of(const std::vector<Curve>& curves, std::vector<double> Curve::*values) {
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (const auto& curve : curves) {
    for (const double value : curve.*values) {
      if (!std::isfinite(value)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
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

class Drawing {
 public:
  explicit Drawing(const LineChart& chart)
      : chart_(chart), x_(axis_of(chart.curves, &Curve::x)), y_(axis_of(chart.curves, &Curve::y)) {}

  std::string svg() {
    out_.precision(6);
    out_ << "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " << kWidth << ' ' << kHeight
         << "\" width=\"" << kWidth << "\" font-family=\"sans-serif\" font-size=\"12\">\n"
         << "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
    text(kWidth / 2, 22, "middle", chart_.title, " font-size=\"15\"");
    draw_grid();
    for (size_t i = 0; i < chart_.curves.size(); ++i) draw(i);
    out_ << "</svg>\n";
    return out_.str();
  }

 private:
  double pixel_x(double value) const { return kLeft + x_.share(value) * (kWidth - kLeft - kRight); }
  double pixel_y(double value) const {
    return kHeight - kBottom - y_.share(value) * (kHeight - kTop - kBottom);
  }

  void text(double x, double y, const char* anchor, const std::string& content,
            const char* more = "") {
    out_ << "<text x=\"" << x << "\" y=\"" << y << "\" text-anchor=\"" << anchor << '"' << more
         << '>' << html_text(content) << "</text>\n";
  }

  void line(double x1, double y1, double x2, double y2) {
    out_ << "<path d=\"M" << x1 << ' ' << y1 << 'L' << x2 << ' ' << y2 << "\" stroke=\"#ddd\"/>\n";
  }

  static std::string number(double value, double step) {
    std::ostringstream shown;
    // A zero that rounding has missed.
    shown << (std::abs(value) < step / 1000 ? 0.0 : value);
    return shown.str();
  }

  void draw_grid() {
    const double bottom = kHeight - kBottom;
    // Half a step more: sums of steps are rounded.
    for (double value = x_.low; value <= x_.high + x_.step / 2; value += x_.step) {
      line(pixel_x(value), kTop, pixel_x(value), bottom);
      text(pixel_x(value), bottom + 18, "middle", number(value, x_.step));
    }
    for (double value = y_.low; value <= y_.high + y_.step / 2; value += y_.step) {
      line(kLeft, pixel_y(value), kWidth - kRight, pixel_y(value));
      text(kLeft - 6, pixel_y(value) + 4, "end", number(value, y_.step));
    }
    text(kWidth / 2, kHeight - 12, "middle", chart_.x_label);
    out_ << "<g transform=\"translate(16 " << kHeight / 2 << ") rotate(-90)\">";
    text(0, 0, "middle", chart_.y_label);
    out_ << "</g>\n";
  }

  void draw(size_t number) {
    const auto& curve = chart_.curves[number];
    const char* color = kColors[number % kColors.size()];
    std::ostringstream path, marks;
    bool drawing = false;
    for (size_t i = 0; i < std::min(curve.x.size(), curve.y.size()); ++i) {
      // A gap in the curve.
      if (!std::isfinite(curve.x[i]) || !std::isfinite(curve.y[i])) {
        drawing = false;
        continue;
      }
      const double x = pixel_x(curve.x[i]);
      const double y = pixel_y(curve.y[i]);
      path << (drawing ? 'L' : 'M') << x << ' ' << y;
      drawing = true;
      if (curve.x.size() > kMostMarks) continue;
      marks << "<circle cx=\"" << x << "\" cy=\"" << y << "\" r=\"3\" fill=\"" << color
            << "\"><title>" << html_text(curve.name) << ": " << curve.x[i] << ", " << curve.y[i]
            << "</title></circle>\n";
    }
    out_ << "<path d=\"" << path.str() << "\" fill=\"none\" stroke=\"" << color
         << "\" stroke-width=\"2\"/>\n"
         << marks.str();
    const double y = kTop + kLegendLine * (static_cast<double>(number) + 0.8);
    out_ << "<rect x=\"" << kWidth - kRight - 12 << "\" y=\"" << y - 9
         << "\" width=\"10\" height=\"10\" fill=\"" << color << "\"/>\n";
    text(kWidth - kRight - 18, y, "end", curve.name);
  }

  const LineChart& chart_;
  Axis x_;
  Axis y_;
  std::ostringstream out_;
};

}  // namespace

std::string to_svg(const LineChart& chart) { return Drawing(chart).svg(); }

}  // namespace ibot::eval
