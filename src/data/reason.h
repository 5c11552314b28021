// What is wrong with a file, without its name.
#pragma once

#include <string>

#include "ibot/base/error.h"

namespace ibot::data {

/// The text of an error about `path`, less the path that it begins with.
inline std::string reason_of(const DataError& error, const std::string& path) {
  const std::string text = error.what();
  return text.starts_with(path + ": ") ? text.substr(path.size() + 2) : text;
}

}  // namespace ibot::data
