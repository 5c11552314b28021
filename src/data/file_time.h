// When files change.
#pragma once

#include <sys/stat.h>

#include <chrono>
#include <cstdint>

namespace ibot::data {

/// When the file or folder was last changed, in nanoseconds since 1970.
inline int64_t modified_ns(const struct stat& status) {
  return status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec;
}

inline int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// Whether what was last changed at `modified_ns` had rested for two seconds at `time_ns`: a change
/// within a clock tick of the reading would not show in its time.
inline bool had_rested(int64_t modified_ns, int64_t time_ns) {
  return modified_ns + 2'000'000'000 < time_ns;
}

}  // namespace ibot::data
