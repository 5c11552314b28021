// What the command lines of all programs have in common.
#pragma once

#include <CLI/App.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace ibot::apps {

/// The options that every program has.
struct CommonArguments {
  int threads = 0;  // 0: as many as LibTorch chooses
  std::string log_level = "info";
};

/// Adds --help, --version, --threads and --log-level to `app` and gives its help the common layout.
/// Subcommands, which must be there already, take the common options too. `arguments` must outlive
/// the parsing.
void add_common_arguments(CLI::App& app, CommonArguments& arguments);

/// One line on what is wrong with the command line: `where: what; how to mend it`.
std::string explain_parse_error(const CLI::App& app, const CLI::ParseError& error);

/// The words of `[CONFIG.yaml] [section.key=value ...]`.
struct ConfigArguments {
  std::optional<std::filesystem::path> file;
  std::vector<std::string> overrides;
};

/// Tells the file from the overrides: a word with `=` is an override unless a file of that name
/// exists. Throws ConfigError when two words are files.
ConfigArguments split_config_arguments(const std::vector<std::string>& words);

}  // namespace ibot::apps
