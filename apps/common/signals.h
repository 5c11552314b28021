// A polite end on SIGINT and SIGTERM.
#pragma once

namespace ibot::apps {

/// From now on the first SIGINT or SIGTERM only raises a flag, for the program to save and leave;
/// a SIGINT after that ends the process at once.
void catch_stop_signals();

/// Whether such a signal has come.
bool stop_requested();

/// The signal that came first, 0 before; a program that left because of it exits with 128 plus it.
int stop_signal();

}  // namespace ibot::apps
