// A polite end on SIGINT, SIGTERM and SIGUSR1.
#pragma once

namespace ibot::apps {

/// From now on SIGINT, SIGTERM and SIGUSR1 end the process at once with their status.
void leave_on_stop_signals();

/// From now on the first SIGINT, SIGTERM or SIGUSR1 only raises a flag, for the program to save and
/// leave; a SIGINT after that ends the process at once.
void catch_stop_signals();

/// Whether such a signal has come, or stop_with was called.
bool stop_requested();

/// The program is to leave with `status`, for a reason other than a signal of its own.
void stop_with(int status);

/// Exit status of a program that left because time is up and wants to be started again:
/// EX_TEMPFAIL.
constexpr int kTimeIsUp = 75;

/// The exit status of a program that left because of a signal: kTimeIsUp for SIGUSR1, with which
/// batch systems warn of a time limit or of preemption, else 128 plus the signal.
int stop_status_of(int signal_number);

/// That of stop_with, else of the signal that came first.
int stop_status();

}  // namespace ibot::apps
