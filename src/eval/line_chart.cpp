#include "ibot/eval/line_chart.h"

#include <sstream>

#include "ibot/eval/chart_drawing.h"
#include "ibot/eval/page.h"

namespace ibot::eval {
namespace {

constexpr double kBandOpacity = 0.2;

class SvgWriter {
 public:
  std::string svg(const ChartDrawing& drawing) {
    out_.precision(6);
    out_ << "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " << drawing.width << ' '
         << drawing.height << "\" width=\"" << drawing.width
         << "\" font-family=\"sans-serif\" font-size=\"12\">\n"
         << "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
    for (const auto& band : drawing.bands) write(band);
    for (const auto& line : drawing.lines) write(line);
    for (const auto& mark : drawing.marks) write(mark);
    for (const auto& key : drawing.keys) write(key);
    for (const auto& text : drawing.texts) write(text);
    out_ << "</svg>\n";
    return out_.str();
  }

 private:
  void write_path(const std::vector<ChartPoint>& points) {
    out_ << "<path d=\"";
    for (size_t i = 0; i < points.size(); ++i) {
      out_ << (i == 0 ? 'M' : 'L') << points[i].x << ' ' << points[i].y;
    }
  }

  void write(const ChartBand& band) {
    write_path(band.points);
    out_ << "Z\" fill=\"" << band.color << "\" fill-opacity=\"" << kBandOpacity << "\"/>\n";
  }

  void write(const ChartLine& line) {
    write_path(line.points);
    out_ << "\" fill=\"none\" stroke=\"" << line.color << "\" stroke-width=\"" << line.width
         << "\"/>\n";
  }

  void write(const ChartMark& mark) {
    out_ << "<circle cx=\"" << mark.at.x << "\" cy=\"" << mark.at.y << "\" r=\"3\" fill=\""
         << mark.color << "\"><title>" << html_text(mark.values) << "</title></circle>\n";
  }

  void write(const ChartKey& key) {
    out_ << "<rect x=\"" << key.corner.x << "\" y=\"" << key.corner.y << "\" width=\"" << key.side
         << "\" height=\"" << key.side << "\" fill=\"" << key.color << "\"/>\n";
  }

  void write(const ChartText& text) {
    static constexpr const char* kAnchors[]{"start", "middle", "end"};
    out_ << "<text x=\"" << text.at.x << "\" y=\"" << text.at.y << "\" font-size=\"" << text.size
         << "\" text-anchor=\"" << kAnchors[static_cast<int>(text.anchor)] << '"';
    if (text.upright) {
      out_ << " transform=\"rotate(-90 " << text.at.x << ' ' << text.at.y << ")\"";
    }
    out_ << '>' << html_text(text.words) << "</text>\n";
  }

  std::ostringstream out_;
};

}  // namespace

std::string to_svg(const LineChart& chart) { return SvgWriter().svg(drawing_of(chart)); }

}  // namespace ibot::eval
