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

// The keys of that name, in the order of their sections.
std::vector<std::string> keys_named(const Sections& sections, const std::string& name) {
  std::vector<std::string> keys;
  for (const Section& section : sections) {
    for (const Field& field : section.fields) {
      if (field.name == name) keys.push_back(section.name + "." + name);
    }
  }
  return keys;
}

// The key of that name; among several, the one whose section name is nearest.
std::optional<std::string> key_named(const Sections& sections, const std::string& near_section,
                                     const std::string& name) {
  std::optional<std::string> best;
  size_t least = 0;
  for (const std::string& key : keys_named(sections, name)) {
    const size_t distance = edit_distance(near_section, key.substr(0, key.find('.')));
    if (best && distance >= least) continue;
    best = key;
    least = distance;
  }
  return best;
}

// "a", "a or b", "a, b or c".
std::string alternatives(const std::vector<std::string>& words) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == words.size() ? " or " : ", ") + words[i];
  }
  return text;
}

std::optional<std::string> meant(const Sections& sections, const std::string& key) {
  const size_t point = key.find('.');
  if (point == std::string::npos) {
    if (const auto section = nearest(key, section_names(sections))) return section;
    const auto keys = keys_named(sections, key);
    return keys.empty() ? std::nullopt : std::optional(alternatives(keys));
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
