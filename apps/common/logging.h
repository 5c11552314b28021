// Log lines of the programs, on standard error.
#pragma once

#include <string>
#include <vector>

namespace ibot::apps {

/// The levels of --log-level, from the most to the least verbose.
const std::vector<std::string>& log_levels();

/// Shows lines of `level` and above from now on, as `12:03:11 info text`.
void start_logging(const std::string& level);

// spdlog is hidden behind these: LibTorch's include folder contains another version of fmt.
void log_debug(const std::string& text);
void log_info(const std::string& text);
void log_warning(const std::string& text);

}  // namespace ibot::apps
