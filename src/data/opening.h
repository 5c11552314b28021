// Why a file cannot be opened: a fault of the file, or exhausted resources.
#pragma once

#include <cerrno>
#include <cstring>
#include <string>

#include "ibot/base/error.h"

namespace ibot::data {

inline bool is_exhaustion(int reason) {
  return reason == EMFILE || reason == ENFILE || reason == ENOMEM;
}

/// Throws, with `name` first, unless `reason`, an errno, is 0: DataError, which marks the file as
/// bad; Error if the process or machine lacks a resource, since the file itself may be fine.
inline void check_opened(int reason, const std::string& name) {
  IBOT_CHECK(!is_exhaustion(reason), name, ": cannot open: ", std::strerror(reason),
             "; raise the limit of open files (ulimit -n)");
  IBOT_CHECK_AS(DataError, reason == 0, name, ": cannot open: ", std::strerror(reason));
}

}  // namespace ibot::data
