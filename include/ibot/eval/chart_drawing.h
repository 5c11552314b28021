// A chart as lines and words at their places, for whatever draws it.
#pragma once

#include <string>
#include <vector>

#include "ibot/eval/line_chart.h"

namespace ibot::eval {

/// Pixels; y downwards.
struct ChartPoint {
  double x = 0;
  double y = 0;
};

/// "#rrggbb" of what follows.
using ChartColor = const char*;

struct ChartLine {
  std::vector<ChartPoint> points;
  ChartColor color;
  double width = 1;
};

/// A closed area, of which what lies below shows through.
struct ChartBand {
  std::vector<ChartPoint> points;
  ChartColor color;
};

/// A disc of radius 3 with the values that it stands for.
struct ChartMark {
  ChartPoint at;
  ChartColor color;
  std::string values;
};

/// A filled square, as legends have it.
struct ChartKey {
  ChartPoint corner;  // upper left
  double side = 10;
  ChartColor color;
};

enum class TextAnchor { kStart, kMiddle, kEnd };

/// Words on a line from `at`; upright ones run from below to above.
struct ChartText {
  ChartPoint at;
  std::string words;
  TextAnchor anchor = TextAnchor::kStart;
  double size = 12;
  bool upright = false;
};

/// On white, in the order of the lists.
struct ChartDrawing {
  double width = 0;
  double height = 0;
  std::vector<ChartBand> bands;
  std::vector<ChartLine> lines;
  std::vector<ChartMark> marks;
  std::vector<ChartKey> keys;
  std::vector<ChartText> texts;
};

/// Axes with round numbers, bands, curves, marks on curves of up to 100 points, a legend below.
ChartDrawing drawing_of(const LineChart& chart);

}  // namespace ibot::eval
