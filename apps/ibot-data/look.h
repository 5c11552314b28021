// The subcommands that only read.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <string>

#include "ibot/codec/decode_options.h"

namespace ibot::apps {

struct LookArguments {
  std::string folder;
  int64_t workers = 0;  // 0: one per core
  data::DecodeOptions decode;
  bool json = false;
};

/// Adds DIR, --workers, --gray-range, --max-pixels and --json.
void add_look_arguments(CLI::App& command, LookArguments& arguments);

/// Prints a summary of the folder or shards; returns the exit status.
int show_info(const LookArguments& arguments);

/// Prints every damaged file with its reason; returns 1 if there is any.
int show_damage(const LookArguments& arguments);

}  // namespace ibot::apps
