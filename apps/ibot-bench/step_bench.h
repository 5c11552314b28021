// Benchmarks of the training step and its parts on synthetic batches.
#pragma once

#include <torch/types.h>

#include "ibot-bench/figures.h"
#include "ibot/config/run_config.h"

namespace ibot::apps {

/// Whole steps and, in turn with them, the matrix products of their shapes alone.
void bench_step(const config::RunConfig& config, const BenchRuns& runs, Figures& figures);

/// A run of as many steps as repetitions from the start, each on other synthetic images: the loss
/// of each step, to be compared between devices and precisions. Its schedules span the repetitions.
void bench_curve(const config::RunConfig& config, const BenchRuns& runs, Figures& figures);

/// The parts of a step one after the other: both forward passes, backward, clipping, update, moving
/// average; and a copy, the limit of the last three.
void bench_ops(const config::RunConfig& config, const BenchRuns& runs, Figures& figures);

}  // namespace ibot::apps
