// Notes of data sets in the log.
#pragma once

#include <string>

#include "common/logging.h"
#include "ibot/base/error.h"
#include "ibot/data/dataset.h"

namespace ibot::apps {

/// Logs one warning per note; `where` is what the user named.
inline void log_notes(const std::string& where, const data::Dataset& dataset) {
  for (const auto& note : dataset.notes()) log_warning(concat(where, ": ", note));
}

}  // namespace ibot::apps
