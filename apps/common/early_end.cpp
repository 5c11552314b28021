#include "common/early_end.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "common/logging.h"
#include "common/progress.h"
#include "common/signals.h"
#include "ibot/base/error.h"

namespace ibot::apps {
namespace {

constexpr const char* kVariable = "SLURM_JOB_END_TIME";

/// Seconds until the end of the job, if known and in the future.
std::optional<double> seconds_left() {
  const char* text = std::getenv(kVariable);
  if (text == nullptr) return std::nullopt;
  int64_t end = 0;
  const auto parsed = std::from_chars(text, text + std::strlen(text), end);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const double left = static_cast<double>(end) - std::chrono::duration<double>(now).count();
  if (parsed.ec == std::errc() && *parsed.ptr == '\0' && left > 0) return left;
  log_warning(concat(kVariable, ": expected a future time in seconds since 1970, got ", text,
                     "; it is ignored"));
  return std::nullopt;
}

}  // namespace

EarlyEnd::EarlyEnd(int64_t look_every)
    : look_every_(static_cast<double>(look_every)), asked_(Clock::now()) {
  const auto left = seconds_left();
  if (!left) return;
  limit_ =
      asked_ + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(*left));
  log_info(
      concat("the job ends in ", format_duration(*left), "; the run will save and exit before"));
}

bool EarlyEnd::due(double save_s) {
  const auto now = Clock::now();
  const double step_s = std::chrono::duration<double>(now - asked_).count();
  longest_step_s_ = std::max(longest_step_s_, step_s);
  asked_ = now;
  if (stop_requested()) return true;
  if (!limit_) return false;
  const double left = std::chrono::duration<double>(*limit_ - now).count();
  return left < 30.0 + (2.0 + look_every_) * longest_step_s_ + 2.0 * save_s;
}

int EarlyEnd::status() const { return stop_requested() ? stop_status() : kTimeIsUp; }

}  // namespace ibot::apps
