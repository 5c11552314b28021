#include "config/suggest.h"

#include <optional>

#include "ibot/config/nearest.h"

namespace ibot::config {
namespace {

std::vector<std::string> section_names(const Sections& sections) {
  std::vector<std::string> names;
  for (const Section& section : sections) names.push_back(section.name);
  return names;
}

// Names of one section's keys, or of all keys if `only` is empty.
std::vector<std::string> key_names(const Sections& sections, const std::string& only) {
  std::vector<std::string> names;
  for (const Section& section : sections) {
    if (!only.empty() && section.name != only) continue;
    for (const Field& field : section.fields) names.push_back(field.name);
  }
  return names;
}

// The key of that name; among several, the one whose section name is nearest.
std::optional<std::string> key_named(const Sections& sections, const std::string& near_section,
                                     const std::string& name) {
  std::optional<std::string> best;
  size_t least = 0;
  for (const Section& section : sections) {
    for (const Field& field : section.fields) {
      if (field.name != name) continue;
      const size_t distance = edit_distance(near_section, section.name);
      if (best && distance >= least) continue;
      best = section.name + "." + name;
      least = distance;
    }
  }
  return best;
}

std::optional<std::string> meant(const Sections& sections, const std::string& key) {
  const size_t point = key.find('.');
  if (point == std::string::npos) {
    if (const auto section = nearest(key, section_names(sections))) return section;
    return key_named(sections, "", key);
  }
  const std::string section = key.substr(0, point);
  const std::string name = key.substr(point + 1);
  // An exact name in another section is likelier than a similar name in this one.
  if (const auto elsewhere = key_named(sections, section, name)) return elsewhere;
  const auto close = nearest(name, key_names(sections, section));
  if (close) return key_named(sections, section, *close);
  const auto anywhere = nearest(name, key_names(sections, ""));
  return anywhere ? key_named(sections, section, *anywhere) : std::nullopt;
}

}  // namespace

std::string suggest(const Sections& sections, const std::string& key) {
  const auto guess = meant(sections, key);
  if (!guess && sections.size() == 1) {
    std::string names;
    for (const auto& field : sections.front().fields) {
      names += (names.empty() ? "; the keys are " : ", ") + field.name;
    }
    return names;
  }
  return guess ? "; did you mean " + *guess + "?" : "; --print-config lists all keys";
}

}  // namespace ibot::config
