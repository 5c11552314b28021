// Log lines of the programs, on standard error.
#pragma once

#include <string>
#include <vector>

namespace ibot::apps {

/// The levels that --log-level takes, from the most to the least talkative.
const std::vector<std::string>& log_levels();

/// From now on lines of `level` and above are shown; a line reads `12:03:11 info text`.
void start_logging(const std::string& level);

// spdlog stays behind these: LibTorch's include folder holds another version of its fmt.
void log_debug(const std::string& text);
void log_info(const std::string& text);
void log_warning(const std::string& text);

}  // namespace ibot::apps
