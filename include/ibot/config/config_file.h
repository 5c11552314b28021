// Configuration files and the files that they are based on.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace ibot::config {

/// A file that has been read; `name` is its path in messages.
struct ConfigText {
  std::string name;
  std::string text;
};

/// Content of a configuration file. Throws ConfigError if it is missing or above 1 MB.
std::string read_config_file(const std::filesystem::path& path);

/// The file and those that it is based on, which come first: `base: other.yaml` at the top of a
/// file names another one relative to the file's folder. Empty for an empty path. Throws
/// ConfigError for files that are missing or no YAML, and for files based on themselves.
std::vector<ConfigText> read_config_files(const std::filesystem::path& path);

/// Throws ConfigError if one of the files has the key `sweep`.
void refuse_sweep(const std::vector<ConfigText>& files);

}  // namespace ibot::config
