#include "config/lookup.h"

#include <algorithm>

#include "config/document.h"
#include "ibot/base/error.h"

namespace ibot::config {

void fail(const std::string& key, const std::string& problem, const std::string& origin) {
  throw ConfigError(concat(shown(key), ": ", problem, " (", origin, ")"));
}

const Section* find_section(const Sections& sections, const std::string& name) {
  const auto found = std::find_if(sections.begin(), sections.end(),
                                  [&](const Section& section) { return section.name == name; });
  return found == sections.end() ? nullptr : &*found;
}

const Field* find_field(const Section& section, const std::string& name) {
  const auto found = std::find_if(section.fields.begin(), section.fields.end(),
                                  [&](const Field& field) { return field.name == name; });
  return found == section.fields.end() ? nullptr : &*found;
}

const Field* find_field(const Sections& sections, const std::string& key) {
  const size_t point = key.find('.');
  const Section* section = find_section(sections, key.substr(0, point));
  if (section == nullptr || point == std::string::npos) return nullptr;
  return find_field(*section, key.substr(point + 1));
}

bool is_extra(const std::string& key) { return key == "base" || key == "sweep"; }

}  // namespace ibot::config
