// Results as one HTML page that needs no other file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ibot/eval/line_chart.h"

namespace ibot::eval {

struct Report;

/// A picture with its caption.
struct Figure {
  std::string caption;
  std::string type;   // "image/png", "image/jpeg" or "image/svg+xml"
  std::string bytes;  // of the file
};

/// Rows of cells under a header.
struct Table {
  std::string caption;
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
};

/// Text with the characters that HTML and SVG reserve replaced.
std::string html_text(std::string_view text);

/// A page, written from top to bottom. Pictures and the program of its charts are embedded; nothing
/// is fetched when it is read.
class Page {
 public:
  explicit Page(const std::string& title);

  /// Begins a section; three or more are listed at the top.
  void heading(const std::string& text);
  void paragraph(const std::string& text);
  /// Lines as printed on a console.
  void console(const std::string& text);
  void table(const Table& table);
  /// A table that shows when its caption is clicked.
  void folded(const Table& table);
  /// A table whose first column names curves: boxes show and hide these in all charts. Curves that
  /// belong to "NAME" are called so, or "NAME · VARIANT". At most one on a page.
  void runs(const Table& table);
  /// Charts side by side: values under the pointer, linear or logarithmic axes, zoom by dragging.
  void charts(const std::vector<LineChart>& charts);
  void figure(const Figure& figure);

  /// The whole document.
  std::string html() const;

 private:
  std::string title_;
  std::string body_;
  std::vector<std::string> headings_;
  bool has_charts_ = false;
};

/// What a report holds: its table, pictures and tables, then metrics, options and identity.
void add_report(Page& page, const Report& report);

}  // namespace ibot::eval
