// A text stream for plain lines and one live line.
#pragma once

#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>

namespace ibot::apps {

/// Writes whole lines and, on a terminal, keeps one live line below them. Writes no control codes
/// if the stream is not a terminal. Thread-safe.
class Console {
 public:
  explicit Console(std::FILE* stream);
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  /// Whether a live line can be shown: a terminal, and TERM is not "dumb".
  bool is_live() const { return live_; }
  /// Columns of the terminal; 80 if unknown.
  int width() const;

  /// Writes a line; a live line stays below it.
  void print_line(std::string_view text);
  /// Replaces the live line, cut to the terminal's width; does nothing if there is none.
  void show(std::string_view text);
  /// Removes the live line.
  void clear();

 private:
  void write(std::string_view text);

  std::FILE* stream_;
  bool live_;
  std::string shown_;
  std::mutex mutex_;
};

/// The console of standard error.
Console& console();

/// The first `columns` characters of UTF-8 text.
std::string cut_to_width(std::string_view text, int columns);

}  // namespace ibot::apps
