#include "ibot/eval/page.h"

#include <algorithm>
#include <cmath>

#include "ibot/base/error.h"
#include "ibot/eval/report.h"

namespace ibot::eval {
namespace {

constexpr const char* kStyle =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;"
    "color:#222}table{border-collapse:collapse;margin:1rem 0}caption{text-align:left;"
    "font-weight:600}td,th{padding:.15rem .8rem;border-bottom:1px solid #ddd;text-align:left;"
    "font-variant-numeric:tabular-nums}figure{display:inline-block;margin:.5rem 1rem .5rem 0;"
    "vertical-align:top}img{max-width:100%}figcaption{color:#555;font-size:13px}"
    "pre{background:#f6f6f6;padding:.8rem;overflow-x:auto}";

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t at = 0; at < bytes.size(); at += 3) {
    uint32_t group = 0;
    const auto count = std::min<size_t>(3, bytes.size() - at);
    for (size_t i = 0; i < 3; ++i) {
      group = group << 8 | (i < count ? static_cast<unsigned char>(bytes[at + i]) : 0u);
    }
    for (size_t i = 0; i < 4; ++i) {
      text += i <= count ? kDigits[group >> (18 - 6 * i) & 63] : '=';
    }
  }
  return text;
}

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

void Page::heading(const std::string& text) { body_ += concat("<h2>", html_text(text), "</h2>\n"); }

void Page::paragraph(const std::string& text) { body_ += concat("<p>", html_text(text), "</p>\n"); }

void Page::console(const std::string& text) {
  body_ += concat("<pre>", html_text(text), "</pre>\n");
}

void Page::table(const Table& table) {
  body_ += concat("<table><caption>", html_text(table.caption), "</caption>\n<tr>");
  for (const auto& cell : table.header) body_ += concat("<th>", html_text(cell), "</th>");
  body_ += "</tr>\n";
  for (const auto& row : table.rows) {
    body_ += "<tr>";
    for (const auto& cell : row) body_ += concat("<td>", html_text(cell), "</td>");
    body_ += "</tr>\n";
  }
  body_ += "</table>\n";
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
  return concat("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">",
                "<meta name=\"viewport\" content=\"width=device-width\"><title>", title,
                "</title><style>", kStyle, "</style></head>\n<body><h1>", title, "</h1>\n", body_,
                "</body></html>\n");
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
  for (const auto* table : {&metrics, &options, &identity}) {
    if (!table->rows.empty()) page.table(*table);
  }
}

}  // namespace ibot::eval
