#include "common/run_main.h"

#include <ATen/Parallel.h>
#include <c10/util/Exception.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>
#include <string>

#include "common/arguments.h"
#include "common/console.h"
#include "common/logging.h"
#include "common/progress.h"
#include "common/units.h"

namespace ibot::apps {
namespace {

int fail(ExitStatus status, const std::string& message) {
  const auto line = message.substr(0, message.find('\n'));
  console().clear();
  console().print_line("error: " + line);
  log_failure(line);
  return status;
}

// If standard output is redirected to a full disk, the program must not report success.
int flushed(int status) {
  std::cout.flush();
  if (std::cout.good() || status != kDone) return status;
  return fail(kRunFailed, "standard output: writing failed");
}

/// Every data set keeps hundreds of shards open; the usual soft limit of 1024 files is too low.
void raise_limit_of_open_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

int run(CLI::App& app, int argc, char** argv, const std::function<int()>& body) {
  CommonArguments arguments;
  add_common_arguments(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    return fail(kWrongRequest, explain_parse_error(app, error));
  }
  start_logging(arguments.log_level);
  if (arguments.quiet) {
    quiet_logging();
    quiet_progress();
  }
  raise_limit_of_open_files();
  if (arguments.threads > 0) at::set_num_threads(arguments.threads);
  return body();
}

/// "tried to allocate 1.8 GiB" of LibTorch's "... tried to allocate 1927372800 bytes", or "...
/// Tried to allocate 20.00 MiB.".
std::string tried_to_allocate(std::string text) {
  const auto place = std::min(text.find("tried to allocate "), text.find("Tried to allocate "));
  if (place == std::string::npos) return "the system or the GPU has no more";
  text = text.substr(place, text.find_first_of("\n(", place) - place);
  const auto amount = text.substr(std::string_view("tried to allocate ").size());
  if (const auto bytes = amount.find(" bytes"); bytes != std::string::npos) {
    return "tried to allocate " + format_bytes(std::strtod(amount.c_str(), nullptr));
  }
  return "tried to allocate " + amount.substr(0, amount.find("iB") + 2);
}

}  // namespace

std::optional<std::string> out_of_memory(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return tried_to_allocate("");
  // oneDNN's words where it gets no memory for code or buffers of a product.
  if (error.what() == std::string_view("could not create a primitive")) {
    return tried_to_allocate("");
  }
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  const std::string text = torch_error != nullptr ? torch_error->what_without_backtrace() : "";
  for (const char* sign :
       {"out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED"}) {
    if (text.find(sign) != std::string::npos) return tried_to_allocate(text);
  }
  return std::nullopt;
}

int run_main(CLI::App& app, int argc, char** argv, const std::function<int()>& body) {
  try {
    return flushed(run(app, argc, argv, body));
  } catch (const ConfigError& error) {
    return fail(kWrongRequest, error.what());
  } catch (const RequestError& error) {
    return fail(kWrongRequest, error.what());
  } catch (const c10::Error& error) {
    return fail(kRunFailed, error.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    return fail(kRunFailed, "out of memory");
  } catch (const std::exception& error) {
    return fail(kRunFailed, error.what());
  }
}

}  // namespace ibot::apps
