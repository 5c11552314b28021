// Timing the propagation of labels through a video of random features.
#pragma once

#include <cstdint>

#include "ibot-bench/figures.h"

namespace ibot::apps {

/// Patches of a frame as of DAVIS at 480 x 832 pixels under ViT-S/16.
struct PropagationBenchOptions {
  int64_t rows = 30;
  int64_t columns = 52;
  int64_t width = 384;
  int64_t classes = 3;
};

/// Labels of one frame from all frames that are looked at, without the network; an image is a
/// frame.
void bench_propagation(const PropagationBenchOptions& options, const BenchRuns& runs,
                       Figures& figures);

}  // namespace ibot::apps
