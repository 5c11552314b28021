// Timing own kernels beside LibTorch's operators.
#pragma once

#include "ibot-bench/figures.h"
#include "ibot/config/run_config.h"

namespace ibot::apps {

/// Every kernel that has own code for the device and takes the precision of the configuration, on
/// rows of ViT-S/16: own code and fallback in turn, as kernel.NAME.own and kernel.NAME.fallback.
void bench_kernels(const config::RunConfig& config, const BenchRuns& runs, Figures& figures);

}  // namespace ibot::apps
