#include "config/sweep_axes.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string_view>

#include "config/lookup.h"
#include "config/suggest.h"
#include "config/value.h"
#include "ibot/base/error.h"
#include "ibot/base/hash.h"
#include "ibot/base/rng.h"
#include "ibot/config/yaml.h"

namespace ibot::config {
namespace {

std::string trimmed(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return std::string(text);
}

const Field& field_of(const Sections& scratch, const std::string& key, const std::string& origin) {
  const Field* field = find_field(scratch, key);
  if (field == nullptr) fail(key, "unknown key" + suggest(scratch, key), origin);
  return *field;
}

/// The value as the configuration would write it, so that 1e-3 and 0.001 are the same.
std::string value_of(const Sections& scratch, const std::string& key, const Node& node,
                     const std::string& origin) {
  const Field& field = field_of(scratch, key, origin);
  const auto problem = assign(field.slot, node);
  if (!problem.empty()) fail(key, problem, origin);
  return write_value(field.slot);
}

/// "a.b, c.d" as two keys.
std::vector<std::string> keys_in(const std::string& text) {
  std::vector<std::string> keys;
  for (size_t begin = 0, end = 0; end != std::string::npos; begin = end + 1) {
    end = text.find(',', begin);
    keys.push_back(trimmed(std::string_view(text).substr(begin, end - begin)));
  }
  return keys;
}

std::vector<std::string> choice_of(const Sections& scratch, const SweepAxis& axis,
                                   const Node& node) {
  const auto& keys = axis.keys;
  if (keys.size() == 1) return {value_of(scratch, keys.front(), node, axis.origin)};
  if (node.kind != Node::Kind::kList || node.values.size() != keys.size()) {
    fail(keys.front(),
         concat("expected lists of ", keys.size(), " values, one for each key, got ",
                describe(node)),
         axis.origin);
  }
  std::vector<std::string> values;
  for (size_t i = 0; i < keys.size(); ++i) {
    values.push_back(value_of(scratch, keys[i], node.values[i], axis.origin));
  }
  return values;
}

void add_choice(SweepAxis& axis, std::vector<std::string> choice) {
  const auto& known = axis.choices;
  if (std::find(known.begin(), known.end(), choice) != known.end()) {
    std::string text;
    for (const auto& value : choice) text += (text.empty() ? "" : ", ") + value;
    fail(axis.keys.front(), "expected different values in a sweep, got " + text + " twice",
         axis.origin);
  }
  axis.choices.push_back(std::move(choice));
}

/// The range that `{log: [1e-4, 1e-2]}` or `{uniform: [0, 1]}` describes, if it is one.
std::optional<SweepRange> range_in(const std::string& key, const Node& node,
                                   const std::string& origin) {
  if (node.kind != Node::Kind::kMap || node.keys.size() != 1) return std::nullopt;
  const auto& kind = node.keys.front().text;
  const Node& ends = node.values.front();
  if ((kind != "log" && kind != "uniform") || ends.kind == Node::Kind::kNull) return std::nullopt;
  SweepRange range{.key = key, .logarithmic = kind == "log", .origin = origin};
  std::array<double, 2> values{};
  const auto problem = assign(FieldSlot(&values), ends);
  if (!problem.empty()) fail(key, problem, origin);
  range.low = values[0];
  range.high = values[1];
  if (range.low >= range.high || (range.logarithmic && range.low <= 0)) {
    fail(key,
         concat("expected two numbers", range.logarithmic ? " above 0" : "",
                ", the smaller first, got ", describe(ends)),
         origin);
  }
  return range;
}

int64_t whole_number(const std::string& key, const Node& node, const std::string& origin,
                     int64_t least) {
  int64_t number = 0;
  const auto problem = assign(FieldSlot(&number), node);
  if (!problem.empty()) fail(key, problem, origin);
  if (number < least) fail(key, concat("expected ", least, " or more, got ", number), origin);
  return number;
}

/// "sweep.draws" and "sweep.seed"; false for another key.
bool take_setting(const std::string& name, const Node& node, const std::string& origin,
                  SweepAxes& axes) {
  if (name == "draws") axes.draws = whole_number("sweep.draws", node, origin, 1);
  if (name == "seed") axes.seed = whole_number("sweep.seed", node, origin, 0);
  return name == "draws" || name == "seed";
}

/// Forgets what the file says of `key`, which `origin` sets otherwise.
void replace_axis(const std::string& key, const std::string& origin, SweepAxes& axes) {
  std::erase_if(axes.drawn, [&](const SweepRange& range) {
    return range.key == key && range.origin != origin;
  });
  std::erase_if(axes.listed, [&](const SweepAxis& axis) {
    const auto& keys = axis.keys;
    const bool has = std::find(keys.begin(), keys.end(), key) != keys.end();
    if (!has || axis.origin == origin) return false;
    if (keys.size() > 1) {
      fail(key,
           "expected a key that varies alone, since the sweep varies it together with others; "
           "change it there (" +
               axis.origin + ")",
           origin);
    }
    return true;
  });
}

bool in_braces(const std::string& value) {
  return value.size() >= 2 && value.front() == '{' && value.back() == '}';
}

/// The elements between the braces, each as its text.
std::vector<std::string> elements_of(const std::string& key, const std::string& value) {
  std::vector<std::string> elements;
  int depth = 0;
  size_t begin = 1;
  for (size_t i = 1; i < value.size(); ++i) {
    if (value[i] == '[') ++depth;
    if (value[i] == ']') --depth;
    const bool ends = i + 1 == value.size() || (depth == 0 && value[i] == ',');
    if (!ends) continue;
    elements.push_back(trimmed(std::string_view(value).substr(begin, i - begin)));
    if (elements.back().empty()) {
      fail(key, "expected values between the commas of a sweep, got " + value, kCommandLine);
    }
    begin = i + 1;
  }
  return elements;
}

/// YAML of a command line; a null node if it is none, as text for a string key need not be.
Node node_of(const std::string& text) {
  try {
    return parse_document(text);
  } catch (const DocumentError&) {
    return {};
  }
}

SweepAxis axis_of_override(const Sections& scratch, const std::string& names,
                           const std::string& value) {
  SweepAxis axis{.keys = keys_in(names), .choices = {}, .origin = kCommandLine};
  for (const auto& element : elements_of(names, value)) {
    if (axis.keys.size() > 1) {
      add_choice(axis, choice_of(scratch, axis, node_of(element)));
      continue;
    }
    // As an override of its own: text is taken literally.
    Origins origins;
    field_of(scratch, names, kCommandLine);
    apply_override(scratch, names + "=" + element, origins);
    add_choice(axis, {write_value(find_field(scratch, names)->slot)});
  }
  return axis;
}

/// Three significant digits, as text: names of folders stay short.
std::string rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

/// A function of seed, key and draw alone.
double drawn_value(const SweepRange& range, int64_t seed, int64_t draw) {
  Rng random(static_cast<uint64_t>(seed), short_hash(range.key.data(), range.key.size()),
             static_cast<uint64_t>(draw), kOrder);
  if (!range.logarithmic) return random.uniform(range.low, range.high);
  return std::exp(random.uniform(std::log(range.low), std::log(range.high)));
}

}  // namespace

SweepAxes axes_of(const Sections& scratch, const Node& sweep, const std::string& file) {
  SweepAxes axes;
  const auto place = [&](const Node& node) { return concat(file, ":", node.line); };
  if (sweep.kind != Node::Kind::kMap) {
    fail("sweep", "expected keys with their values, got " + describe(sweep), place(sweep));
  }
  for (size_t i = 0; i < sweep.keys.size(); ++i) {
    const auto& name = sweep.keys[i].text;
    const Node& value = sweep.values[i];
    const auto origin = place(sweep.keys[i]);
    if (take_setting(name, value, origin, axes)) continue;
    if (const auto range = range_in(name, value, origin)) {
      field_of(scratch, name, origin);
      axes.drawn.push_back(*range);
      continue;
    }
    if (value.kind == Node::Kind::kMap && name.find('.') == std::string::npos) {
      const auto key = name + "." + (value.keys.empty() ? "KEY" : value.keys.front().text);
      fail("sweep." + name, "expected keys with their sections; write " + key + ": [...]", origin);
    }
    SweepAxis axis{.keys = keys_in(name), .choices = {}, .origin = origin};
    for (const auto& key : axis.keys) field_of(scratch, key, origin);
    if (value.kind != Node::Kind::kList || value.values.empty()) {
      fail(name,
           "expected a list of values, or {uniform: [a, b]} or {log: [a, b]}, got " +
               describe(value),
           origin);
    }
    for (const auto& node : value.values) add_choice(axis, choice_of(scratch, axis, node));
    axes.listed.push_back(std::move(axis));
  }
  return axes;
}

void take_overrides(const Sections& scratch, std::vector<std::string>& overrides, SweepAxes& axes) {
  std::vector<std::string> plain;
  for (const auto& assignment : overrides) {
    const auto equals = std::min(assignment.find('='), assignment.size());
    const auto names = assignment.substr(0, equals);
    const auto value =
        trimmed(std::string_view(assignment).substr(std::min(equals + 1, assignment.size())));
    if (names.rfind("sweep.", 0) == 0) {
      if (!take_setting(names.substr(6), node_of(value), kCommandLine, axes)) {
        fail(names, "unknown key; the keys are sweep.draws, sweep.seed", kCommandLine);
      }
      continue;
    }
    for (const auto& key : keys_in(names)) replace_axis(key, kCommandLine, axes);
    if (!in_braces(value)) {
      plain.push_back(assignment);
    } else if (const auto range = range_in(names, node_of(value), kCommandLine)) {
      field_of(scratch, names, kCommandLine);
      axes.drawn.push_back(*range);
    } else {
      axes.listed.push_back(axis_of_override(scratch, names, value));
    }
  }
  overrides = std::move(plain);
}

SweepAxis drawn_axis(const Sections& scratch, const SweepAxes& axes) {
  SweepAxis axis;
  IBOT_CHECK_AS(ConfigError, !axes.draws || !axes.drawn.empty(),
                "sweep.draws: expected a key with {uniform: [a, b]} or {log: [a, b]}, found none");
  if (axes.drawn.empty()) return axis;
  axis.origin = axes.drawn.front().origin;
  if (!axes.draws) {
    fail(axes.drawn.front().key, "expected sweep.draws, the number of values to draw, found none",
         axis.origin);
  }
  for (const auto& range : axes.drawn) axis.keys.push_back(range.key);
  for (int64_t draw = 0; draw < *axes.draws; ++draw) {
    std::vector<std::string> choice;
    for (const auto& range : axes.drawn) {
      Node node{.kind = Node::Kind::kScalar, .text = rounded(drawn_value(range, axes.seed, draw))};
      const bool whole = std::holds_alternative<int64_t*>(find_field(scratch, range.key)->slot);
      if (whole) node.text = std::to_string(std::llround(drawn_value(range, axes.seed, draw)));
      choice.push_back(value_of(scratch, range.key, node, range.origin));
    }
    // Rounded draws may coincide, which is one run.
    const auto& known = axis.choices;
    if (std::find(known.begin(), known.end(), choice) == known.end()) {
      axis.choices.push_back(std::move(choice));
    }
  }
  return axis;
}

}  // namespace ibot::config
