// Orderly exit on SIGINT, SIGTERM and SIGUSR1.
#pragma once

namespace ibot::apps {

/// From now on SIGINT, SIGTERM and SIGUSR1 end the process at once, with their status.
///
///   last_words  line for standard error, which must outlive the process; none: nothing
void leave_on_stop_signals(const char* last_words = nullptr);

/// From now on the first SIGINT, SIGTERM or SIGUSR1 only sets a flag, for the program to save and
/// exit; a SIGINT half a second later or more ends the process at once. With `acknowledged` the
/// first one is answered at once on standard error, over a live line. A reader of the outputs that
/// has gone, such as a dead tee, no longer ends the process either.
void catch_stop_signals(bool acknowledged = false);

/// Whether such a signal was received or stop_with() was called.
bool stop_requested();

/// Asks the program to exit with `status`, for a reason other than its own signals.
void stop_with(int status);

/// Exit status of a program that ran out of time and wants to be requeued: EX_TEMPFAIL.
constexpr int kTimeIsUp = 75;

/// Exit status of a program stopped by a signal: kTimeIsUp for SIGUSR1, by which batch systems
/// announce a time limit or preemption, otherwise 128 plus the signal.
int stop_status_of(int signal_number);

/// The status given to stop_with(), otherwise that of the first signal.
int stop_status();

}  // namespace ibot::apps
