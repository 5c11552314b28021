// Log lines of the programs, on standard error and in a run's folder.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace ibot::apps {

/// The levels of --log-level, from the most to the least verbose.
const std::vector<std::string>& log_levels();

/// Shows lines of `level` and above from now on, as `12:03:11 info text`.
void start_logging(const std::string& level);

/// Shows only warnings and log_notice() from now on, for --quiet.
void quiet_logging();

/// Appends all lines from debug on, shown or not, to a file, as `2026-11-28 12:03:11 info text`;
/// those of this process before the call come first. A file that cannot be written is left alone.
void log_to_file(const std::filesystem::path& path);

// spdlog is hidden behind these: LibTorch's include folder contains another version of fmt.
void log_debug(const std::string& text);
void log_info(const std::string& text);
/// A line of level info that --quiet keeps.
void log_notice(const std::string& text);
void log_warning(const std::string& text);
/// In the file alone, as an error: for what is printed otherwise.
void log_failure(const std::string& text);

}  // namespace ibot::apps
