#include "ibot/report/plot.h"

#include <cmath>
#include <cstdlib>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "ibot/data/picture_files.h"
#include "ibot/eval/chart_drawing.h"

namespace ibot::report {
namespace {

constexpr double kScale = 2;
constexpr double kPlotBandOpacity = 0.2;
constexpr int kMarkRadius = 3;
constexpr int kFont = cv::FONT_HERSHEY_SIMPLEX;
// Height of capitals by size of a usual font, and of OpenCV's at scale 1, in pixels.
constexpr double kCapitals = 0.72, kCapitalsOfFont = 22;
constexpr int kFractionBits = 4;  // of coordinates

/// Of "#rrggbb", in the order of pixels here.
cv::Scalar pixel_color(eval::ChartColor name) {
  const auto value = std::strtol(name + 1, nullptr, 16);
  return {static_cast<double>(value >> 16 & 255), static_cast<double>(value >> 8 & 255),
          static_cast<double>(value & 255)};
}

/// The letters that the font has.
std::string plain_letters(const std::string& utf8) {
  // U+00C0 to U+00FF without their accents.
  static constexpr std::string_view kLatin =
      "AAAAAAACEEEEIIIIDNOOOOOxOUUUUYTsaaaaaaaceeeeiiiidnooooo/ouuuuyty";
  std::string plain;
  for (size_t i = 0; i < utf8.size();) {
    const auto lead = static_cast<unsigned char>(utf8[i]);
    const size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    const auto letter = utf8.substr(i, length);
    i += length;
    if (length == 1) {
      plain += lead < ' ' ? ' ' : letter[0];
    } else if (letter == "·") {
      plain += '-';
    } else if (letter == "…") {
      plain += "...";
    } else if (lead == 0xC3 && letter.size() == 2) {
      plain += kLatin[static_cast<unsigned char>(letter[1]) & 63];
    } else {
      plain += '?';
    }
  }
  return plain;
}

class Painter {
 public:
  explicit Painter(const eval::ChartDrawing& drawing)
      : image_(std::lround(drawing.height * kScale), std::lround(drawing.width * kScale)),
        pixels_(static_cast<int>(image_.height()), static_cast<int>(image_.width()), CV_8UC3,
                image_.row(0)) {
    pixels_.setTo(cv::Scalar::all(255));
    for (const auto& band : drawing.bands) paint(band);
    for (const auto& line : drawing.lines) paint(line);
    for (const auto& mark : drawing.marks) paint(mark);
    for (const auto& key : drawing.keys) paint(key);
    for (const auto& text : drawing.texts) paint(text);
  }

  const data::Image& image() const { return image_; }

 private:
  /// In fractions of a pixel.
  static cv::Point fine(const eval::ChartPoint& at) {
    constexpr double kFraction = 1 << kFractionBits;
    return {static_cast<int>(std::lround(at.x * kScale * kFraction)),
            static_cast<int>(std::lround(at.y * kScale * kFraction))};
  }

  static std::vector<std::vector<cv::Point>> fine(const std::vector<eval::ChartPoint>& points) {
    std::vector<cv::Point> path;
    for (const auto& point : points) path.push_back(fine(point));
    return {path};
  }

  void paint(const eval::ChartBand& band) {
    cv::Mat filled = pixels_.clone();
    cv::fillPoly(filled, fine(band.points), pixel_color(band.color), cv::LINE_AA, kFractionBits);
    cv::addWeighted(filled, kPlotBandOpacity, pixels_, 1 - kPlotBandOpacity, 0, pixels_);
  }

  void paint(const eval::ChartLine& line) {
    cv::polylines(pixels_, fine(line.points), /*isClosed=*/false, pixel_color(line.color),
                  static_cast<int>(line.width * kScale), cv::LINE_AA, kFractionBits);
  }

  void paint(const eval::ChartMark& mark) {
    const int radius = kMarkRadius * static_cast<int>(kScale) << kFractionBits;
    cv::circle(pixels_, fine(mark.at), radius, pixel_color(mark.color), cv::FILLED, cv::LINE_AA,
               kFractionBits);
  }

  void paint(const eval::ChartKey& key) {
    const auto [x, y] = key.corner;
    cv::rectangle(pixels_, fine(key.corner), fine({x + key.side, y + key.side}),
                  pixel_color(key.color), cv::FILLED, cv::LINE_AA, kFractionBits);
  }

  void paint(const eval::ChartText& text) {
    const auto words = plain_letters(text.words);
    const double scale = text.size * kScale * kCapitals / kCapitalsOfFont;
    const int width = cv::getTextSize(words, kFont, scale, 1, nullptr).width;
    const int before = text.anchor == eval::TextAnchor::kEnd      ? width
                       : text.anchor == eval::TextAnchor::kMiddle ? width / 2
                                                                  : 0;
    const auto x = static_cast<int>(std::lround(text.at.x * kScale));
    const auto y = static_cast<int>(std::lround(text.at.y * kScale));
    if (!text.upright) return write(pixels_, words, {x - before, y}, scale);
    cv::Mat turned;
    cv::rotate(pixels_, turned, cv::ROTATE_90_CLOCKWISE);
    write(turned, words, {turned.cols - y - before, x}, scale);
    cv::rotate(turned, pixels_, cv::ROTATE_90_COUNTERCLOCKWISE);
  }

  static void write(cv::Mat& onto, const std::string& words, cv::Point at, double scale) {
    cv::putText(onto, words, at, kFont, scale, cv::Scalar::all(0), 1, cv::LINE_AA);
  }

  data::Image image_;
  cv::Mat pixels_;  // of image_
};

}  // namespace

std::string to_png(const eval::LineChart& chart) {
  return data::png_bytes(Painter(eval::drawing_of(chart)).image());
}

}  // namespace ibot::report
