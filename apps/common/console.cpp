#include "common/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace ibot::apps {
namespace {

// Carriage return, then erase to the end of the line.
constexpr std::string_view kErase = "\r\x1b[K";

bool is_terminal(std::FILE* stream) {
  const char* term = std::getenv("TERM");
  return isatty(fileno(stream)) == 1 && (term == nullptr || std::string_view(term) != "dumb");
}

}  // namespace

std::string cut_to_width(std::string_view text, int columns) {
  size_t end = 0;
  for (int shown = 0; end < text.size(); ++end) {
    const bool continues = (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80;
    if (!continues && shown++ == columns) break;
  }
  return std::string(text.substr(0, end));
}

Console::Console(std::FILE* stream) : stream_(stream), live_(is_terminal(stream)) {}

int Console::width() const {
  winsize size{};
  const bool known = ioctl(fileno(stream_), TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

void Console::write(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stream_); }

void Console::print_line(std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (!shown_.empty()) write(kErase);
  write(text);
  write("\n");
  write(shown_);
  std::fflush(stream_);
}

void Console::show(std::string_view text) {
  if (!live_) return;
  const std::lock_guard lock(mutex_);
  // Some terminals wrap after a character in the last column.
  shown_ = cut_to_width(text, std::max(1, width() - 1));
  write(kErase);
  write(shown_);
  std::fflush(stream_);
}

void Console::clear() {
  const std::lock_guard lock(mutex_);
  if (shown_.empty()) return;
  write(kErase);
  std::fflush(stream_);
  shown_.clear();
}

Console& console() {
  static Console standard_error(stderr);
  return standard_error;
}

}  // namespace ibot::apps
