#include "common/arguments.h"

#include <torch/version.h>

#include <CLI/CLI.hpp>
#include <cctype>
#include <map>
#include <memory>
#include <sstream>

#include "common/logging.h"
#include "ibot/base/error.h"
#include "ibot/base/version.h"
#include "ibot/config/nearest.h"

namespace ibot::apps {
namespace {

constexpr const char* kFooter =
    "Results go to standard output; logs, progress and errors to standard error.\n"
    "Exit status: 0 done, 1 the run failed, 2 invalid arguments, configuration or input.";

constexpr size_t kNameColumns = 32;
constexpr size_t kTextColumns = 64;

// CLI11 does not wrap long descriptions.
class HelpLayout : public CLI::Formatter {
 public:
  HelpLayout() { column_width(kNameColumns); }

  std::string make_option_desc(const CLI::Option* option) const override {
    std::istringstream words(option->get_description());
    std::string text;
    size_t column = 0;
    for (std::string word; words >> word; column += word.size() + 1) {
      const bool wraps = column > 0 && column + word.size() > kTextColumns;
      if (column > 0) text += wraps ? '\n' : ' ';
      if (wraps) column = 0;
      text += word;
    }
    return text;
  }
};

void lay_out(CLI::App& app) {
  app.set_help_flag("-h,--help", "print this help and exit");
  app.formatter(std::make_shared<HelpLayout>());
  if (app.get_footer().empty()) app.footer(kFooter);
}

const CLI::App& chosen(const CLI::App& app) {
  const auto subcommands = app.get_subcommands();
  return subcommands.empty() ? app : chosen(*subcommands.front());
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* level = &app; level != nullptr; level = level->get_parent()) {
    for (const CLI::Option* option : level->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

std::vector<std::string> subcommand_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* subcommand : app.get_subcommands({}))
    names.push_back(subcommand->get_name());
  return names;
}

std::string explain_extra(const CLI::App& app, std::string word) {
  word = word.substr(0, word.find('='));
  const bool is_option = word.rfind('-', 0) == 0;
  const auto names = is_option ? option_names(app) : subcommand_names(app);
  std::string text = (is_option ? "unknown option " : "unexpected argument ") + word;
  if (const auto meant = config::nearest(word, names))
    return text + "; did you mean " + *meant + "?";
  if (is_option && word.find('.') != std::string::npos) {
    return text + "; keys are written without dashes, as in optim.lr=0.001";
  }
  return text + "; see --help";
}

/// The keys that an override sets, several if they vary together in a sweep.
std::vector<std::string> keys_of(const std::string& assignment) {
  std::vector<std::string> keys;
  std::istringstream names(assignment.substr(0, assignment.find('=')));
  for (std::string key; std::getline(names, key, ',');) {
    key.erase(0, key.find_first_not_of(' '));
    keys.push_back(key);
  }
  return keys;
}

/// "optim.lr", also of "optim.lr = 1", and the "=" of that.
bool is_key(const std::string& word) {
  if (word == "=") return true;
  const auto ends = [&](const char* ending) { return word.ends_with(ending); };
  return word.find('.') != std::string::npos && word.find_first_of("=/") == std::string::npos &&
         !ends(".yaml") && !ends(".yml");
}

}  // namespace

void add_common_arguments(CLI::App& app, CommonArguments& arguments) {
  lay_out(app);
  app.set_version_flag("--version",
                       concat(app.get_name(), " (ibot ", kVersion, *commit() ? " " : "", commit(),
                              ", LibTorch " TORCH_VERSION ")"),
                       "print the versions and exit");
  app.add_option("--threads", arguments.threads,
                 "threads per operation; default: LibTorch's choice")
      ->check(CLI::Range(1, 4096))
      ->option_text("N");
  app.add_option("--log-level", arguments.log_level,
                 "minimum level of log lines shown: trace, debug, info (default), warning, error, "
                 "critical or off")
      ->check(CLI::IsMember(log_levels()))
      ->option_text("LEVEL");
  app.add_flag("--quiet", arguments.quiet,
               "no progress; of the log only epochs, evaluations, the end and warnings");
  for (CLI::App* subcommand : app.get_subcommands({})) {
    lay_out(*subcommand);
    subcommand->fallthrough();
  }
}

std::string explain_parse_error(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& where = chosen(app);
  std::string name = app.get_name();
  if (&where != &app) name += " " + where.get_name();
  const auto extras = app.remaining(true);
  if (!extras.empty()) return name + ": " + explain_extra(where, extras.front());
  std::string what = error.what();
  if (what.rfind("--", 0) != 0 && what.size() > 1 && std::isupper(what[1]) == 0) {
    what[0] = static_cast<char>(std::tolower(what[0]));
  }
  return name + ": " + what + "; see --help";
}

void check_stated_once(const std::vector<std::string>& overrides) {
  std::map<std::string, std::string> seen;
  for (const auto& assignment : overrides) {
    if (assignment.find('=') == std::string::npos) continue;
    for (const auto& key : keys_of(assignment)) {
      const auto [former, fresh] = seen.emplace(key, assignment);
      IBOT_CHECK_AS(ConfigError, fresh, key, ": stated twice, ", former->second, " and ",
                    assignment, " (command line); braces of a sweep need quotes, as in '", key,
                    "={a, b}', or the shell makes several words of them");
    }
  }
}

ConfigArguments split_config_arguments(const std::vector<std::string>& words) {
  ConfigArguments arguments;
  for (const std::string& word : words) {
    std::error_code unknown;
    const bool exists = std::filesystem::exists(word, unknown);
    IBOT_CHECK_AS(ConfigError, exists || !is_key(word), word,
                  ": expected section.key=value, without spaces, got no value");
    if (word.find('=') != std::string::npos && !exists) {
      arguments.overrides.push_back(word);
    } else {
      IBOT_CHECK_AS(ConfigError, !arguments.file, "arguments: expected one config, got ",
                    arguments.file->string(), " and ", word,
                    "; write what differs as section.key=value");
      arguments.file = word;
    }
  }
  check_stated_once(arguments.overrides);
  return arguments;
}

}  // namespace ibot::apps
