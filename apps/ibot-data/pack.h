// The subcommand that writes tar shards.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <string>

namespace ibot::apps {

struct PackArguments {
  std::string source;
  std::string out;
  uint64_t shard_bytes = uint64_t{1} << 30;
  uint64_t seed = 0;
  int64_t workers = 8;
};

/// Adds SRC, OUT and the options.
void add_pack_arguments(CLI::App& command, PackArguments& arguments);

/// Packs, showing progress, and prints what was written; returns the exit status.
int pack_images(const PackArguments& arguments);

}  // namespace ibot::apps
