// A polite end on SIGINT, SIGTERM and SIGUSR1.
#pragma once

namespace ibot::apps {

/// From now on SIGINT, SIGTERM and SIGUSR1 end the process at once with their status.
void leave_on_stop_signals();

/// From now on the first SIGINT, SIGTERM or SIGUSR1 only raises a flag, for the program to save and
/// leave; a SIGINT after that ends the process at once.
void catch_stop_signals();

/// Whether such a signal has come.
bool stop_requested();

/// Exit status of a program that left because time is up and wants to be started again:
/// EX_TEMPFAIL.
constexpr int kTimeIsUp = 75;

/// The exit status of a program that left because of a signal: kTimeIsUp for SIGUSR1, with which
/// batch systems warn of a time limit or of preemption, else 128 plus the signal.
int stop_status_of(int signal_number);

/// That of the signal that came first.
int stop_status();

}  // namespace ibot::apps
