#include "ibot/config/key_table.h"

#include <algorithm>

#include "config/value.h"
#include "ibot/base/error.h"

namespace ibot::config {
namespace {

/// Text within a cell of a table.
std::string cell(const std::string& text) {
  std::string escaped;
  for (const char letter : text) {
    if (letter == '|' || letter == '<' || letter == '*' || letter == '_') escaped += '\\';
    escaped += letter;
  }
  return escaped;
}

}  // namespace

std::string key_tables(const Sections& sections) {
  std::string text;
  for (const auto& section : sections) {
    text += concat("\n## ", section.name, "\n\n| key | default | |\n| --- | --- | --- |\n");
    for (const auto& field : section.fields) {
      text += concat("| `", section.name, ".", field.name, "` | `", write_value(field.slot), "` | ",
                     cell(field.text), " |\n");
    }
  }
  return text;
}

Sections selected(const Sections& sections, const std::vector<std::string>& wanted) {
  const auto names = [&](const std::string& name) {
    return std::find(wanted.begin(), wanted.end(), name) != wanted.end();
  };
  Sections chosen;
  for (const auto& section : sections) {
    Section part{section.name, {}};
    for (const auto& field : section.fields) {
      if (names(section.name + ".") || names(section.name + "." + field.name)) {
        part.fields.push_back(field);
      }
    }
    if (!part.fields.empty()) chosen.push_back(std::move(part));
  }
  return chosen;
}

}  // namespace ibot::config
