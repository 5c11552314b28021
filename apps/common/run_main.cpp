#include "common/run_main.h"

#include <ATen/Parallel.h>
#include <c10/util/Exception.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>
#include <new>
#include <string>

#include "common/arguments.h"
#include "common/console.h"
#include "common/logging.h"

namespace ibot::apps {
namespace {

int fail(ExitStatus status, const std::string& message) {
  console().clear();
  console().print_line("error: " + message.substr(0, message.find('\n')));
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
  raise_limit_of_open_files();
  if (arguments.threads > 0) at::set_num_threads(arguments.threads);
  return body();
}

}  // namespace

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
