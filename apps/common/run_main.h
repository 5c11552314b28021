// From main() to exit status: the same conventions in every program.
#pragma once

#include <CLI/App.hpp>
#include <exception>
#include <functional>
#include <optional>
#include <string>
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

/// Why memory ran out, if that is what the error says: "tried to allocate 1.8 GiB"; otherwise
/// nothing.
std::optional<std::string> out_of_memory(const std::exception& error);

/// Calls `work`; where memory runs out, throws Error with what helps, such as keys.
template <class Work>
auto with_memory_remedy(const std::string& remedy, Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (const std::exception& error) {
    const auto reason = out_of_memory(error);
    if (!reason) throw;
    throw Error("out of memory: " + *reason + "; " + remedy);
  }
}

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
