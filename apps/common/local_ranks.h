// Several processes of this program on this machine, one per rank.
#pragma once

#include <CLI/App.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ibot::apps {

/// Adds `--nproc N`.
void add_nproc_argument(CLI::App& app, std::optional<int64_t>& count);

/// The words of a command line, without `--nproc N`.
std::vector<std::string> without_nproc(int argc, char** argv);

/// Time that ranks may take to exit after the first of them, if their last work is collective.
constexpr std::chrono::seconds kEndGrace{60};

/// Runs this program with `words` as ranks 0 to `count` - 1, which find each other through
/// torchrun's variables. Returns the exit status for this program: 0 if all succeeded, otherwise
/// that of the first rank that did not; for a rank killed by a stop signal, its stop_status.
///
/// Rank 0 inherits this process's outputs; standard error of others is prefixed by their number,
/// and their errors come last. SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 are forwarded. If a
/// rank fails, the others are told, have ten seconds to exit, and are then killed. With
/// `end_grace`, ranks still running that long after the first has exited for any reason are killed;
/// without it, ranks may outlast each other. No rank outlives this process, however it ends.
int run_local_ranks(int64_t count, const std::vector<std::string>& words,
                    std::optional<std::chrono::milliseconds> end_grace = std::nullopt);

}  // namespace ibot::apps
