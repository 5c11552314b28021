#include "ibot/eval/page.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "ibot/base/error.h"
#include "ibot/eval/report.h"

namespace ibot::eval {

// Files of src/eval/assets and third_party/uPlot.
namespace assets {
extern const std::string_view kPageStyle;
extern const std::string_view kPageScript;
extern const std::string_view kChartStyle;
extern const std::string_view kChartScript;
extern const std::string_view kChartLicense;
}  // namespace assets

namespace {

// Makes browsers refuse whatever the page does not hold itself.
constexpr const char* kPolicy =
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
    "'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">";
/// Headings from which on a page has a list of them.
constexpr size_t kListedHeadings = 3;

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t at = 0; at < bytes.size(); at += 3) {
    uint32_t group = 0;
    const auto count = std::min<size_t>(3, bytes.size() - at);
    for (size_t i = 0; i < 3; ++i) {
      // Three bytes are four digits of six bits; missing bytes are 0 and their digits "=".
      group = group << 8 | (i < count ? static_cast<unsigned char>(bytes[at + i]) : 0u);
    }
    for (size_t i = 0; i < 4; ++i) {
      text += i <= count ? kDigits[group >> (18 - 6 * i) & 63] : '=';
    }
  }
  return text;
}

/// Values of options as a reader expects them in a table.
std::string shown(double value) { return std::isfinite(value) ? concat(value) : "-"; }
std::string shown(bool value) { return value ? "true" : "false"; }
std::string shown(int64_t value) { return concat(value); }
std::string shown(const std::string& value) { return value; }
template <class T>
std::string shown(const std::vector<T>& values) {
  std::string list;
  for (const auto& value : values) list += (list.empty() ? "" : ", ") + shown(T(value));
  return list;
}

nlohmann::ordered_json json_of(const LineChart& chart) {
  nlohmann::ordered_json curves = nlohmann::json::array();
  for (const auto& curve : chart.curves) {
    auto& json = curves.emplace_back(
        nlohmann::ordered_json{{"name", curve.name}, {"x", curve.x}, {"y", curve.y}});
    if (!curve.low.empty()) json.update({{"low", curve.low}, {"high", curve.high}});
  }
  return {{"title", chart.title}, {"x", chart.x_label}, {"y", chart.y_label}, {"curves", curves}};
}

/// JSON that a script element can hold: the text must not end the element.
std::string script_text(const nlohmann::ordered_json& json) {
  const auto text = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  std::string safe;
  safe.reserve(text.size());
  for (const char c : text) {
    if (c == '<') {
      safe += "\\u003c";
    } else {
      safe += c;
    }
  }
  return safe;
}

std::string table_html(const Table& table, const std::string& kind, bool caption) {
  std::string html = concat("<div class=\"wide\"><table", kind, ">");
  if (caption) html += concat("<caption>", html_text(table.caption), "</caption>");
  html += "\n<thead><tr>";
  for (const auto& cell : table.header) html += concat("<th>", html_text(cell), "</th>");
  html += "</tr></thead>\n<tbody>";
  for (const auto& row : table.rows) {
    html += "<tr>";
    for (const auto& cell : row) html += concat("<td>", html_text(cell), "</td>");
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

std::string chart_html(const LineChart& chart) {
  return concat(
      "<figure class=\"chart\"><header><h3>", html_text(chart.title),
      "</h3></header><div class=\"plot\"></div><script type=\"application/json\">",
      script_text(json_of(chart)), "</script>",
      chart.note.empty() ? "" : concat("<figcaption>", html_text(chart.note), "</figcaption>"),
      "</figure>\n");
}

}  // namespace

std::string html_text(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

Page::Page(const std::string& title) : title_(title) {}

void Page::heading(const std::string& text) {
  headings_.push_back(text);
  body_ += concat("<h2 id=\"section-", headings_.size(), "\">", html_text(text), "</h2>\n");
}

void Page::paragraph(const std::string& text) { body_ += concat("<p>", html_text(text), "</p>\n"); }

void Page::console(const std::string& text) {
  body_ += concat("<pre>", html_text(text), "</pre>\n");
}

void Page::table(const Table& table) { body_ += table_html(table, "", !table.caption.empty()); }

void Page::folded(const Table& table) {
  body_ += concat("<details><summary>", html_text(table.caption), "</summary>\n",
                  table_html(table, "", false), "</details>\n");
}

void Page::runs(const Table& table) {
  body_ += table_html(table, " class=\"runs\"", !table.caption.empty());
}

void Page::charts(const std::vector<LineChart>& charts) {
  has_charts_ = true;
  body_ += "<div class=\"charts\">\n";
  for (const auto& chart : charts) body_ += chart_html(chart);
  body_ += "</div>\n";
}

void Page::figure(const Figure& figure) {
  const auto caption = html_text(figure.caption);
  const auto picture = figure.type == "image/svg+xml"
                           ? figure.bytes
                           : concat("<img alt=\"", caption, "\" src=\"data:", figure.type,
                                    ";base64,", base64(figure.bytes), "\">");
  body_ += concat("<figure>", picture, "<figcaption>", caption, "</figcaption></figure>\n");
}

std::string Page::html() const {
  const auto title = html_text(title_);
  std::string list;
  for (size_t i = 0; i < headings_.size() && headings_.size() >= kListedHeadings; ++i) {
    list += concat("<a href=\"#section-", i + 1, "\">", html_text(headings_[i]), "</a>");
  }
  if (!list.empty()) list = "<nav>" + list + "</nav>\n";
  const auto chart_style = has_charts_ ? concat("<style>", assets::kChartStyle, "</style>") : "";
  // Scripts come last: the elements that they fill are there.
  const auto scripts =
      has_charts_
          ? concat("<!--\nCharts by uPlot.\n", assets::kChartLicense, "\n-->\n<script>",
                   assets::kChartScript, "</script>\n<script>", assets::kPageScript, "</script>\n")
          : "";
  return concat("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">", kPolicy,
                "<meta name=\"viewport\" content=\"width=device-width\"><title>", title, "</title>",
                chart_style, "<style>", assets::kPageStyle, "</style></head>\n<body><h1>", title,
                "</h1>\n", list, body_, scripts, "</body></html>\n");
}

void add_report(Page& page, const Report& report) {
  page.paragraph(concat("Weights ", report.weights, ", data ", report.data, "."));
  if (!report.table.empty()) page.console(report.table);
  for (const auto& table : report.tables) page.table(table);
  for (const auto& figure : report.figures) page.figure(figure);
  Table metrics{"Metrics", {"metric", "value"}, {}};
  for (const auto& [name, value] : report.metrics) metrics.rows.push_back({name, shown(value)});
  Table options{"Options", {"option", "value"}, {}};
  for (const auto& [name, value] : report.options) {
    options.rows.push_back({name, std::visit([](const auto& it) { return shown(it); }, value)});
  }
  Table identity{"What the result belongs to", {"item", "value"}, {}};
  for (const auto& [name, value] : report.identity) identity.rows.push_back({name, value});
  if (!metrics.rows.empty()) page.table(metrics);
  for (const auto* table : {&options, &identity}) {
    if (!table->rows.empty()) page.folded(*table);
  }
}

}  // namespace ibot::eval
