// Where a training step's time goes, by kind of operation.
#pragma once

#include <string>
#include <string_view>

#include "ibot-bench/figures.h"
#include "ibot/config/run_config.h"

namespace ibot::apps {

/// The kind of an operator or kernel of this name: matmul, attention, norm, loss, optimizer,
/// copies, comm or elementwise, which is the rest.
std::string_view operation_kind(const std::string& name);

/// Records steps by LibTorch's profiler: on a GPU the time of its kernels, elsewhere of operators
/// without those that they call. A line for each kind and for the operations that take longest,
/// with seconds and calls a step; `profile.outside` is the step's time in none of them.
void bench_profile(const config::RunConfig& config, const BenchRuns& runs, Figures& figures);

}  // namespace ibot::apps
