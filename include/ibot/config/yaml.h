// Configurations as YAML: reading, overriding, validation, writing, explanation.
//
// A configuration is any struct with a member template `sections(visitor)`, such as RunConfig, made
// of options structs (ibot/base/fields.h). Precedence: defaults < file < overrides.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/config/config_file.h"
#include "ibot/config/section.h"

namespace ibot::config {

/// Where each non-default key was set: "section.key" → "run.yaml:14" or "command line".
using Origins = std::map<std::string, std::string>;

/// Whether a text may have the keys `base` and `sweep` beside its sections; both are skipped here,
/// see ibot/config/config_file.h and ibot/config/sweep.h.
enum class Extras { kNone, kBaseAndSweep };

/// Sets the keys that the YAML text states and records their origin.
///
///   name   of the file, for messages and origins
///
/// Throws ConfigError with name, line and key for text that is not UTF-8, not YAML or above 1 MB,
/// anchors, aliases and tags, nesting above 8, a section or key that is unknown (with the nearest
/// one) or stated twice, a value of another type. Empty text changes nothing.
void apply_yaml(const Sections& sections, std::string_view text, const std::string& name,
                Origins& origins, Extras extras = Extras::kNone);

/// Applies `section.key=value`; the last of several for one key counts. A value is written as in
/// YAML: `[0, 0.3]`, `off`, `1e-3`; a list of one number needs no brackets, text no quotes. Throws
/// ConfigError.
void apply_override(const Sections& sections, const std::string& assignment, Origins& origins);

/// Rethrows an error about "section.key" with the origin of that key.
[[noreturn]] void refuse(const OptionError& error, const Origins& origins);

/// Validates each section by itself; an OptionError names "section.key".
template <class Config>
void validate_sections(Config config) {
  config.sections([](const std::string& name, const auto& options) {
    try {
      options.validate();
    } catch (const OptionError& error) {
      throw OptionError(name + "." + error.key(), error.problem());
    }
  });
}

/// Validates every section and, if `validate(config)` is declared for the struct, their
/// consistency. Throws ConfigError with the key and its origin.
template <class Config>
void check(const Config& config, const Origins& origins = {}) {
  try {
    if constexpr (requires { validate(config); }) {
      validate(config);
    } else {
      validate_sections(config);
    }
  } catch (const OptionError& error) {
    refuse(error, origins);
  }
}

/// The validated configuration of a YAML text and overrides.
template <class Config>
Config parse_config(std::string_view text, const std::string& name,
                    const std::vector<std::string>& overrides = {}) {
  Config config;
  Origins origins;
  const Sections sections = sections_of(config);
  apply_yaml(sections, text, name, origins);
  for (const std::string& assignment : overrides) apply_override(sections, assignment, origins);
  check(config, origins);
  return config;
}

/// The same from files, of which later ones override earlier ones. Their `sweep` is not looked at.
template <class Config>
Config layered_config(const std::vector<ConfigText>& files,
                      const std::vector<std::string>& overrides = {}) {
  Config config;
  Origins origins;
  const Sections sections = sections_of(config);
  for (const auto& file : files) {
    apply_yaml(sections, file.text, file.name, origins, Extras::kBaseAndSweep);
  }
  for (const std::string& assignment : overrides) apply_override(sections, assignment, origins);
  check(config, origins);
  return config;
}

/// The same from a file and those it is based on; with an empty path, from the overrides only.
/// Throws ConfigError for a file with a sweep, which is several configurations.
template <class Config>
Config read_config(const std::filesystem::path& path,
                   const std::vector<std::string>& overrides = {}) {
  const auto files = read_config_files(path);
  refuse_sweep(files);
  return layered_config<Config>(files, overrides);
}

enum class Comments { kNone, kText };

/// All keys in order as YAML; reading it back gives equal values, doubles bit for bit.
std::string write_sections(const Sections& sections, Comments comments);

template <class Config>
std::string write_config(Config config, Comments comments = Comments::kText) {
  return write_sections(sections_of(config), comments);
}

enum class Keys { kAll, kOfResults };

/// All values by "section.key", each as one line of YAML; optionally only those that change
/// results.
std::map<std::string, std::string> flat_values_of(const Sections& sections, Keys keys);

template <class Config>
std::map<std::string, std::string> flat_values(Config config, Keys keys = Keys::kAll) {
  return flat_values_of(sections_of(config), keys);
}

/// Explains `key` ("section.key", or a section for all its keys): description, type, default,
/// value. Throws ConfigError for an unknown one.
std::string explain_key(const Sections& sections, const Sections& defaults, const std::string& key);

template <class Config>
std::string explain(Config config, const std::string& key) {
  Config defaults;
  return explain_key(sections_of(config), sections_of(defaults), key);
}

}  // namespace ibot::config
