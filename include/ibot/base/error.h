// Errors that a user can cause, each with one message that says what, where and how to mend it.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace ibot {

/// Base of everything the libraries throw on bad input.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A wrong configuration key, value or combination; programs exit with 2.
class ConfigError : public Error {
 public:
  using Error::Error;
};

/// A value out of range in an options struct. `key` is the field's name within its section, so that
/// the reader of a file can add the section, the file and the line.
class OptionError : public ConfigError {
 public:
  OptionError(std::string key, const std::string& problem)
      : ConfigError(key + ": " + problem), key_(std::move(key)), problem_(problem) {}
  const std::string& key() const { return key_; }
  const std::string& problem() const { return problem_; }

 private:
  std::string key_;
  std::string problem_;
};

/// A missing folder, an unreadable or corrupt image or shard.
class DataError : public Error {
 public:
  using Error::Error;
};

/// A checkpoint or weight file that is damaged, of another shape or of a later version.
class CheckpointError : public Error {
 public:
  using Error::Error;
};

/// A loss or gradient that is not finite.
class DivergenceError : public Error {
 public:
  using Error::Error;
};

/// The parts written one after the other, as `operator<<` shows each.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

/// Throws OptionError for the field `key` unless `ok`; the parts read "expected X, got Y".
template <class... Parts>
void check_option(bool ok, const char* key, const Parts&... parts) {
  if (!ok) throw OptionError(key, concat(parts...));
}

}  // namespace ibot

/// Throws `Kind` with the concatenated parts unless `condition`.
#define IBOT_CHECK_AS(Kind, condition, ...)                    \
  do {                                                         \
    if (!(condition)) throw Kind(::ibot::concat(__VA_ARGS__)); \
  } while (false)

#define IBOT_CHECK(condition, ...) IBOT_CHECK_AS(::ibot::Error, condition, __VA_ARGS__)
