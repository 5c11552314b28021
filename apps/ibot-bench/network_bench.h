// Timing networks outside pre-training, each in turn with the matrix products of its shapes alone.
#pragma once

#include "ibot-bench/figures.h"
#include "ibot/config/run_config.h"

namespace ibot::apps {

/// Features of a batch of random images by the backbone, in evaluation mode.
void bench_features(const config::RunConfig& config, const BenchRuns& runs, Figures& figures);

/// End-to-end training on 1000 classes: forward, backward and update of AdamW on a batch of random
/// images.
void bench_fine_tune(const config::RunConfig& config, const BenchRuns& runs, Figures& figures);

/// Training of UPerNet with its auxiliary head on 150 classes: forward, losses, backward and update
/// of AdamW on a batch of random squares of backbone.image_size pixels.
void bench_segment(const config::RunConfig& config, const BenchRuns& runs, Figures& figures);

}  // namespace ibot::apps
