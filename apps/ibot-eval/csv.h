// Cells of tables as CSV.
#pragma once

#include <string>

namespace ibot::apps {

/// In quotes where commas, quotes or line ends ask for them.
///
/// Source: RFC 4180.
inline std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char letter : text) quoted += letter == '"' ? "\"\"" : std::string(1, letter);
  return quoted + '"';
}

}  // namespace ibot::apps
