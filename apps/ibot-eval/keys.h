// What --print-config and --explain tell.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace ibot::apps {

struct KeyRequest {
  std::string task;  // whose keys; empty: all
  std::filesystem::path config;
  std::vector<std::string> overrides;
  std::string explain;    // a key or a section; empty: the whole configuration
  bool markdown = false;  // as tables
};

/// The text of the answer. Throws ConfigError on a key that there is not.
std::string told_of_keys(const KeyRequest& request);

}  // namespace ibot::apps
