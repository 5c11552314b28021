// Why a run is to end before its last step.
#pragma once

#include <chrono>
#include <optional>

namespace ibot::apps {

/// A signal, or the end of the batch job's time.
class EarlyEnd {
 public:
  /// Reads Slurm's SLURM_JOB_END_TIME where it is set. The wall clock is asked this once: what is
  /// left is then counted by a clock that does not jump. A time that has passed already is no
  /// limit.
  ///
  ///   look_every   steps between looks at `due`: several ranks act together on what it says
  explicit EarlyEnd(int64_t look_every);

  /// Asked after every step; true when the run is to save and leave. Time is up when what is left
  /// is less than half a minute, two of the longest steps so far besides those until the next look,
  /// and two saves of `save_s`
  /// seconds.
  bool due(double save_s);

  /// The exit status when it was due.
  int status() const;

 private:
  using Clock = std::chrono::steady_clock;

  double look_every_;
  std::optional<Clock::time_point> limit_;
  Clock::time_point asked_;
  double longest_step_s_ = 0.0;
};

}  // namespace ibot::apps
