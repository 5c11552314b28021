// The subcommand that draws what training sees.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace ibot::apps {

struct ShowArguments {
  std::string folder;
  std::vector<std::string> words;  // [CONFIG.yaml] [section.key=value ...]
  std::string output = "crops.png";
  int64_t images = 8;
};

/// Adds DIR, the configuration, --images and --output.
void add_show_arguments(CLI::App& command, ShowArguments& arguments);

/// Draws the crops and masks that a run of the configuration begins with; returns the exit status.
int show_crops(const ShowArguments& arguments);

}  // namespace ibot::apps
