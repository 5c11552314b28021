// Command-line arguments common to all programs.
#pragma once

#include <CLI/App.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace ibot::apps {

/// The options that every program has.
struct CommonArguments {
  int threads = 0;  // 0: LibTorch's choice
  std::string log_level = "info";
  bool quiet = false;
};

/// Adds --help, --version, --threads, --log-level and --quiet to `app` and sets the common help
/// layout. Subcommands, which must exist already, accept the common options too. `arguments` must
/// outlive parsing.
void add_common_arguments(CLI::App& app, CommonArguments& arguments);

/// One line describing a command-line error: `where: what; how to mend it`.
std::string explain_parse_error(const CLI::App& app, const CLI::ParseError& error);

/// The words of `[CONFIG.yaml] [section.key=value ...]`.
struct ConfigArguments {
  std::optional<std::filesystem::path> file;
  std::vector<std::string> overrides;
};

/// Throws ConfigError if two overrides set the same key, which unquoted braces do.
void check_stated_once(const std::vector<std::string>& overrides);

/// Separates the file from overrides: a word with `=` is an override unless a file of that name
/// exists. Throws ConfigError if two words are files, and as check_stated_once.
ConfigArguments split_config_arguments(const std::vector<std::string>& words);

}  // namespace ibot::apps
