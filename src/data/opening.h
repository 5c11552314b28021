// Why a file cannot be opened: something about it, or about us.
#pragma once

#include <cerrno>
#include <cstring>
#include <string>

#include "ibot/base/error.h"

namespace ibot::data {

inline bool is_exhaustion(int reason) {
  return reason == EMFILE || reason == ENFILE || reason == ENOMEM;
}

/// Throws, beginning with `name`, unless `reason`, an errno, is 0: DataError, which counts against
/// the file; Error where the process or the machine lacks a resource, since the file may be whole.
inline void check_opened(int reason, const std::string& name) {
  IBOT_CHECK(!is_exhaustion(reason), name, ": cannot open: ", std::strerror(reason),
             "; raise the limit of open files (ulimit -n)");
  IBOT_CHECK_AS(DataError, reason == 0, name, ": cannot open: ", std::strerror(reason));
}

}  // namespace ibot::data
