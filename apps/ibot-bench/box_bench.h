// Timing what a detector does with regions.
#pragma once

#include "ibot-bench/figures.h"

namespace ibot::apps {

/// Features of 512 regions, 7 x 7 each, of two maps of 256 channels at a quarter of 400 x 672
/// pixels, and their gradient.
void bench_regions(const BenchRuns& runs, Figures& figures);

/// Of 10 000 boxes those that overlap no better one by more than 0.7; an image is all of them.
void bench_suppression(const BenchRuns& runs, Figures& figures);

}  // namespace ibot::apps
