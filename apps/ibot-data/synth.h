// The subcommand that generates an image set.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

namespace ibot::apps {

struct SynthArguments {
  std::string folder;
  std::vector<std::string> settings;  // key=value
  std::string task = "classify";
};

/// Adds OUT and the settings, and explains these in the help.
void add_synth_arguments(CLI::App& command, SynthArguments& arguments);

/// Generates the set and prints a summary; returns the exit status.
int make_set(const SynthArguments& arguments);

}  // namespace ibot::apps
