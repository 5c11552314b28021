// The reason in an error about a file, without the file's name.
#pragma once

#include <string>

#include "ibot/base/error.h"

namespace ibot::data {

/// The text of an error about `path`, without the leading path.
inline std::string reason_of(const DataError& error, const std::string& path) {
  const std::string text = error.what();
  return text.starts_with(path + ": ") ? text.substr(path.size() + 2) : text;
}

}  // namespace ibot::data
