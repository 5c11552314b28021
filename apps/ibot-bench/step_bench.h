// Timing the training step and its parts on synthetic batches.
#pragma once

#include <torch/types.h>

#include "ibot/config/run_config.h"

namespace ibot::apps {

/// Whole steps; the batch lies on the device, ready.
void bench_step(const config::RunConfig& config, torch::Device device, int repetitions);

/// The parts of a step one after the other: both forward passes, backward, clipping, update, moving
/// average.
void bench_ops(const config::RunConfig& config, torch::Device device, int repetitions);

}  // namespace ibot::apps
