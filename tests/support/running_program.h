// One of the built programs while it runs, to be interrupted.
#pragma once

#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <thread>

#include "support/run_program.h"

namespace ibot::testing {

class RunningProgram {
 public:
  /// Starts build/bin/`program` in `folder`, as run_program does.
  RunningProgram(const std::string& program, const std::vector<std::string>& words,
                 const std::filesystem::path& folder)
      : RunningProgram(program_command(program, words, folder), folder) {}
  /// Starts a shell command that becomes the program, as program_command does.
  RunningProgram(std::string command, const std::filesystem::path& folder) : folder_(folder) {
    std::string shell = "sh", option = "-c";
    char* arguments[] = {shell.data(), option.data(), command.data(), nullptr};
    if (::posix_spawn(&process_, "/bin/sh", nullptr, nullptr, arguments, environ) != 0) {
      std::abort();
    }
  }
  ~RunningProgram() {
    if (!ended_) interrupt(SIGKILL);
  }
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;

  pid_t process() const { return process_; }

  /// Waits until `condition` holds or the program has ended; whether it still ran then.
  bool wait_until(const std::function<bool()>& condition) {
    while (!condition()) {
      ended_ = ended_ || ::waitpid(process_, &status_, WNOHANG) == process_;
      if (ended_) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  }

  /// Waits for the end.
  ProgramResult result() {
    if (!ended_) ::waitpid(process_, &status_, 0);
    ended_ = true;
    return program_result(status_, folder_);
  }

  /// Sends the signal and waits for the end.
  ProgramResult interrupt(int signal_number) {
    if (!ended_) {
      ::kill(process_, signal_number);
      ::waitpid(process_, &status_, 0);
      ended_ = true;
    }
    return program_result(status_, folder_);
  }

 private:
  std::filesystem::path folder_;
  pid_t process_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

}  // namespace ibot::testing
