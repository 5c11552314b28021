#include "ibot/config/yaml.h"

#include <algorithm>
#include <set>

#include "config/document.h"
#include "config/lookup.h"
#include "config/suggest.h"
#include "config/value.h"

namespace ibot::config {
namespace {

void store(const Field& field, const Node& node, const std::string& key, const std::string& origin,
           Origins& origins) {
  const std::string problem = assign(field.slot, node);
  if (!problem.empty()) fail(key, problem, origin);
  origins[key] = origin;
}

// Applies the tree of one file to the sections.
class FileReader {
 public:
  FileReader(const Sections& sections, const std::string& name, Origins& origins, Extras extras)
      : sections_(sections), name_(name), origins_(origins), extras_(extras) {}

  void read(const Node& root) {
    if (root.kind == Node::Kind::kNull) return;
    if (root.kind != Node::Kind::kMap) {
      throw ConfigError(concat(name_, ":", root.line, ": expected sections such as ",
                               sections_.front().name, ": {...}, got ", describe(root)));
    }
    std::set<std::string> seen;
    for (size_t i = 0; i < root.keys.size(); ++i) {
      const Node& key = root.keys[i];
      if (extras_ == Extras::kBaseAndSweep && is_extra(key.text)) continue;
      const Section* section = find_section(sections_, key.text);
      if (section == nullptr) fail_unknown_section(key);
      if (!seen.insert(key.text).second) fail(key.text, "section stated twice", place(key));
      read_section(*section, root.values[i]);
    }
  }

 private:
  std::string place(const Node& node) const { return concat(name_, ":", node.line); }

  [[noreturn]] void fail_unknown_section(const Node& key) const {
    const Field* field = find_field(sections_, key.text);
    if (field == nullptr) {
      fail(key.text, "unknown section" + suggest(sections_, key.text), place(key));
    }
    const std::string section = key.text.substr(0, key.text.find('.'));
    fail(key.text, concat("a file nests keys; write ", section, ": {", field->name, ": ...}"),
         place(key));
  }

  void read_section(const Section& section, const Node& node) {
    if (node.kind == Node::Kind::kNull) return;
    if (node.kind != Node::Kind::kMap) {
      fail(section.name, "expected keys, got " + describe(node), place(node));
    }
    std::set<std::string> seen;
    for (size_t i = 0; i < node.keys.size(); ++i) {
      const Node& name = node.keys[i];
      const std::string key = section.name + "." + name.text;
      const Field* field = find_field(section, name.text);
      if (field == nullptr) fail(key, "unknown key" + suggest(sections_, key), place(name));
      if (!seen.insert(name.text).second) fail(key, "stated twice", place(name));
      store(*field, node.values[i], key, place(name), origins_);
    }
  }

  const Sections& sections_;
  const std::string& name_;
  Origins& origins_;
  Extras extras_;
};

// Text is taken literally, since the shell has its own quotes; quotes that remain are YAML's.
Node parse_override(const Field& field, const std::string& text) {
  const bool quoted = !text.empty() && (text.front() == '"' || text.front() == '\'');
  if (!std::holds_alternative<std::string*>(field.slot) || quoted) {
    return parse_document(text);
  }
  check_text(text);
  Node node;
  node.kind = Node::Kind::kScalar;
  node.text = text;
  return node;
}

std::string explain_field(const std::string& key, const Field& field, const Field& standard) {
  return concat(key, "\n  ", field.text, "\n  type     ", type_name(field.slot), "\n  default  ",
                write_value(standard.slot), "\n  value    ", write_value(field.slot),
                field.effect == Effect::kNone ? "\n  results  the same under every value" : "",
                "\n");
}

}  // namespace

void apply_yaml(const Sections& sections, std::string_view text, const std::string& name,
                Origins& origins, Extras extras) {
  try {
    FileReader(sections, name, origins, extras).read(parse_document(text));
  } catch (const DocumentError& error) {
    throw ConfigError(concat(name, ":", error.line(), ": ", error.what()));
  }
}

void apply_override(const Sections& sections, const std::string& assignment, Origins& origins) {
  const size_t equals = assignment.find('=');
  const std::string key = assignment.substr(0, equals);
  const Field* field = find_field(sections, key);
  const bool is_split = key.empty() || (field != nullptr && equals == std::string::npos);
  if (is_split) {
    fail(assignment, "expected section.key=value, without spaces around =", kCommandLine);
  }
  if (field == nullptr) fail(key, "unknown key" + suggest(sections, key), kCommandLine);
  try {
    store(*field, parse_override(*field, assignment.substr(equals + 1)), key, kCommandLine,
          origins);
  } catch (const DocumentError& error) {
    fail(key, error.what(), kCommandLine);
  }
}

void refuse(const OptionError& error, const Origins& origins) {
  const auto origin = origins.find(error.key());
  fail(error.key(), error.problem(), origin == origins.end() ? "default" : origin->second);
}

std::string write_sections(const Sections& sections, Comments comments) {
  constexpr size_t kTextColumn = 40;
  std::string yaml;
  for (const Section& section : sections) {
    yaml += section.name + ":\n";
    for (const Field& field : section.fields) {
      std::string line = "  " + field.name + ": " + write_value(field.slot);
      if (comments == Comments::kText) {
        line.resize(std::max(line.size() + 2, kTextColumn), ' ');
        line += "# " + field.text;
      }
      yaml += line + "\n";
    }
  }
  return yaml;
}

std::map<std::string, std::string> flat_values_of(const Sections& sections, Keys keys) {
  std::map<std::string, std::string> values;
  for (const Section& section : sections) {
    for (const Field& field : section.fields) {
      if (keys == Keys::kOfResults && field.effect == Effect::kNone) continue;
      values.emplace(concat(section.name, ".", field.name), write_value(field.slot));
    }
  }
  return values;
}

std::string explain_key(const Sections& sections, const Sections& defaults,
                        const std::string& key) {
  std::string text;
  for (size_t s = 0; s < sections.size(); ++s) {
    for (size_t f = 0; f < sections[s].fields.size(); ++f) {
      const Field& field = sections[s].fields[f];
      const std::string full = concat(sections[s].name, ".", field.name);
      if (key != full && key != sections[s].name) continue;
      if (!text.empty()) text += '\n';
      text += explain_field(full, field, defaults[s].fields[f]);
    }
  }
  if (text.empty()) throw ConfigError(key + ": unknown key" + suggest(sections, key));
  return text;
}

}  // namespace ibot::config
