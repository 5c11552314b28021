// Processes that a program starts and watches.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace ibot::apps {

/// Blocks SIGCHLD and the signals that stop a program, or that its user sends it, in this thread
/// and all threads it starts; a descriptor reports them instead. SIGPIPE is ignored from then on.
class BlockedSignals {
 public:
  BlockedSignals();
  ~BlockedSignals();
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

  /// Readable when a signal has arrived.
  int descriptor() const { return descriptor_; }
  /// The signals since the last call, except SIGCHLD.
  std::vector<int> take() const;
  void unblock() const;

 private:
  sigset_t before_{};
  int descriptor_ = -1;
};

/// Environment of this process, as NAME=VALUE, with other values for some variables.
std::vector<std::string> environment_with(const std::map<std::string, std::string>& own);

/// How to start a process of this program.
///
///   piped         its standard error is read by read_lines(); otherwise it inherits ours
///   silent        its standard output is dropped
///   death_signal  sent to it if this process dies
struct ChildOptions {
  std::vector<std::string> words;
  std::vector<std::string> environment;
  bool piped = false;
  bool silent = false;
  int death_signal = SIGKILL;
};

struct Child {
  pid_t process = -1;
  int errors = -1;      // read end of its standard error; -1: none, or closed
  std::string partial;  // an incomplete line
  bool ended = false;
  int status = 0;  // as wait(2) has it
};

/// Starts /proc/self/exe in a process group of its own, so that Ctrl-C reaches it only through this
/// program. Throws Error.
Child start_child(const ChildOptions& options, const BlockedSignals& signals);

/// Reads what is there of a child's standard error; a last line without newline counts too.
void read_lines(Child& child, const std::function<void(const std::string& line)>& take);

/// Waits until a signal arrives, a child writes or half a second has passed, and reads lines.
void wait_for_events(const BlockedSignals& signals, const std::vector<Child*>& children,
                     const std::function<void(Child& child, const std::string& line)>& take);

/// Notes the end of a child; whether it has ended just now.
bool has_just_ended(Child& child);

/// "exited with status 1", "was killed by signal 9 (Killed)".
std::string describe_end(int status);

/// Whether a process ended because it was asked to stop. A signal kills processes that do not catch
/// it yet or any more. Batch systems signal processes directly.
bool was_stopped(int status);

/// The exit status of this program for the wait status of a child; of one killed by a stop signal
/// its stop_status.
int exit_status_of(int status);

}  // namespace ibot::apps
