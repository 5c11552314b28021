// From main() to exit status: the same conventions in every program.
#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <utility>

#include "ibot/base/error.h"

namespace ibot::apps {

/// Exit status of a program.
enum ExitStatus : int { kDone = 0, kRunFailed = 1, kWrongRequest = 2 };

/// An input named by the user is missing or unusable; programs exit with 2.
class RequestError : public Error {
 public:
  using Error::Error;
};

/// Adds the common arguments to `app`, parses, starts logging, sets the number of threads and
/// returns what `body` returns. An exception becomes one line on standard error, `error: where:
/// what; how to mend it`, and an exit status: 2 for the command line, ConfigError and RequestError,
/// otherwise 1.
int run_main(CLI::App& app, int argc, char** argv, const std::function<int()>& body);

/// Calls `open`, which examines an input that the user named, and converts any ibot::Error to a
/// RequestError: data that are missing before a run and data damaged during one have different exit
/// statuses.
template <class Open>
auto open_input(Open&& open) {
  try {
    return std::forward<Open>(open)();
  } catch (const Error& error) {
    throw RequestError(error.what());
  }
}

}  // namespace ibot::apps
