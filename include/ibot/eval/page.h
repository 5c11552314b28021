// Results as one HTML page that needs no other file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

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

/// A page, written from top to bottom. Pictures are embedded; nothing is fetched when it is read.
class Page {
 public:
  explicit Page(const std::string& title);

  void heading(const std::string& text);
  void paragraph(const std::string& text);
  /// Lines as printed on a console.
  void console(const std::string& text);
  void table(const Table& table);
  void figure(const Figure& figure);

  /// The whole document.
  std::string html() const;

 private:
  std::string title_;
  std::string body_;
};

/// What a report holds: its table, pictures and tables, then metrics, options and identity.
void add_report(Page& page, const Report& report);

}  // namespace ibot::eval
