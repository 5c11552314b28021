// How far a loop is, how fast, and how long it still takes.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "common/console.h"

namespace ibot::apps {

struct ProgressOptions {
  std::string label;           // what is under way: "pre-train"
  std::string unit = "steps";  // what is counted
  int64_t total = 0;           // at the end of the loop; 0: unknown
  int64_t first = 0;           // done before this process began
  std::string item = "steps";  // what the rate is of: "images"
  double items_per_count = 1;  // items in one count: images a step
};

/// Rate over the recent past: the mean of the first 15 seconds, then an average that forgets with
/// that time constant.
class RateEstimate {
 public:
  /// Counts done in `seconds` since the last call.
  void add(double counts, double seconds);
  /// Counts a second; 0 before the first call.
  double per_second() const { return per_second_; }

 private:
  double per_second_ = 0;
  double observed_s_ = 0;
};

/// "42 s", "12 min 5 s", "3 h 10 min" or "2 d 4 h".
std::string format_duration(double seconds);

/// The text of one progress line.
///
///   done   counts so far     rate    counts a second, 0: unknown
///   note   shown at the end  width   columns for a bar as well; 0: no bar
std::string progress_line(const ProgressOptions& options, int64_t done, double rate,
                          const std::string& note, int width);

/// Shows progress on a console: a live line on a terminal, elsewhere a plain line every few
/// seconds. Only call it from one thread.
class Progress {
 public:
  explicit Progress(ProgressOptions options, Console& output = console());
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();

  /// Tells how many counts are done and, in a few words, what is worth seeing: "loss 9.01".
  void update(int64_t done, const std::string& note = {});
  /// Ends with one plain line: the counts, the time and the mean rate.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;

  ProgressOptions options_;
  Console& console_;
  RateEstimate rate_;
  Clock::time_point started_;
  Clock::time_point drawn_;
  int64_t done_;
  int64_t drawn_done_;
};

}  // namespace ibot::apps
