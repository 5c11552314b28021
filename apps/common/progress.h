// Progress, rate and remaining time of a loop.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "common/console.h"

namespace ibot::apps {

struct ProgressOptions {
  std::string label;           // the task: "pre-train"
  std::string unit = "steps";  // what is counted
  int64_t total = 0;           // at the end of the loop; 0: unknown
  int64_t first = 0;           // done before this process began
  std::string item = "steps";  // unit of the rate: "images"
  double items_per_count = 1;  // items per count: images per step
};

/// Recent rate: the mean of the first 15 seconds, then an exponential moving average with that time
/// constant.
class RateEstimate {
 public:
  /// Counts done in `seconds` since the last call.
  void add(double counts, double seconds);
  /// Counts per second; 0 before the first call.
  double per_second() const { return per_second_; }

 private:
  double per_second_ = 0;
  double observed_s_ = 0;
};

/// "42 s", "12 min 5 s", "3 h 10 min" or "2 d 4 h".
std::string format_duration(double seconds);

/// "0:12:05", which changes every second.
std::string format_clock(double seconds);

/// The text of one progress line.
///
///   done   counts so far     rate    counts per second, 0: unknown
///   note   shown at the end  width   columns; a bar fills what is left; 0: no limit and no bar
///   extra  shown behind the note if there is room
///
/// What is least important gives way in a narrow line: the extra, then the counts.
std::string progress_line(const ProgressOptions& options, int64_t done, double rate,
                          const std::string& note, int width, const std::string& extra = {});

/// Shows no progress from now on, for --quiet.
void quiet_progress();

/// Shows progress on a console: a live line with a clock on a terminal, from the beginning and
/// every second, whatever the time between counts; elsewhere plain lines at growing intervals, from
/// five seconds to ten minutes. update() and finish() are for one thread.
class Progress {
 public:
  explicit Progress(ProgressOptions options, Console& output = console());
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();

  /// Reports the counts done so far, a short note, "loss 9.01", and one that may be left out.
  void update(int64_t done, const std::string& note = {}, const std::string& extra = {});
  /// Prints one plain line: counts, time and mean rate.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;

  void show_line();
  void tick(const std::stop_token& stop);

  ProgressOptions options_;
  Console& console_;
  RateEstimate rate_;
  Clock::time_point started_;
  Clock::time_point drawn_;
  double plain_every_s_;
  int64_t done_;
  int64_t drawn_done_;
  std::string note_;
  std::string extra_;
  std::mutex mutex_;  // of the members above
  std::condition_variable_any wake_;
  std::jthread ticker_;  // of a live line; last: it uses the others
};

}  // namespace ibot::apps
