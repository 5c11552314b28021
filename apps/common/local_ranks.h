// Several processes of this program on this machine, one a rank.
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

/// The words of a command line without `--nproc N`.
std::vector<std::string> without_nproc(int argc, char** argv);

/// How long ranks whose last work is common may take to end after the first of them.
constexpr std::chrono::seconds kEndGrace{60};

/// Runs this program with `words` as ranks 0 to `count` - 1, which find each other through
/// torchrun's variables, and returns what the program should: 0 when all are done, else the status
/// of the first rank that was not, which for one that such a signal killed is its stop_status.
///
/// Rank 0 has this process's outputs; what others say on standard error follows their number, and
/// their errors come at the end. SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 are passed on. When a
/// rank fails the others are told, have ten seconds to end, and are killed. With `end_grace` so are
/// those that still run that long after the first has ended in whatever way; without, ranks may
/// outlast each other. No rank outlives this process, whatever ends it.
int run_local_ranks(int64_t count, const std::vector<std::string>& words,
                    std::optional<std::chrono::milliseconds> end_grace = std::nullopt);

}  // namespace ibot::apps
