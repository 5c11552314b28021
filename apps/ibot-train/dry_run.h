// Estimate of the cost of a run from two steps.
#pragma once

#include "ibot/batch/batch_source.h"
#include "ibot/batch/multi_crop_batch.h"
#include "ibot/config/run_config.h"
#include "ibot/train/step.h"

namespace ibot::apps {

/// Runs two steps and prints parameters, FLOPs and memory of a step, images per second and the
/// hours of the full run, as one JSON object. Returns the exit status.
int dry_run(const config::RunConfig& config, train::TrainStep& step,
            batch::BatchSource<batch::MultiCropBatch>& batches, int64_t steps_per_epoch);

}  // namespace ibot::apps
