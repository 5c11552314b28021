// Reasons to end a run before its last step.
#pragma once

#include <chrono>
#include <optional>

namespace ibot::apps {

/// A signal, or the end of the batch job's time.
class EarlyEnd {
 public:
  /// Reads Slurm's SLURM_JOB_END_TIME if set. The wall clock is read only once; the remaining time
  /// is then measured by a monotonic clock. A time in the past is ignored.
  ///
  ///   look_every   steps between evaluations of due(): ranks act on it together
  explicit EarlyEnd(int64_t look_every);

  /// To be called after every step; true if the run should save and exit. Time is up when the
  /// remaining time is below half a minute, plus two of the longest steps so far and those until
  /// the next call, plus two saves of `save_s` seconds.
  bool due(double save_s);

  /// The exit status after due() was true.
  int status() const;

 private:
  using Clock = std::chrono::steady_clock;

  double look_every_;
  std::optional<Clock::time_point> limit_;
  Clock::time_point asked_;
  double longest_step_s_ = 0.0;
};

}  // namespace ibot::apps
