// Estimate of the cost of a run from two steps.
#pragma once

#include "ibot-train/pretrain.h"
#include "ibot/batch/batch_source.h"
#include "ibot/batch/multi_crop_batch.h"
#include "ibot/train/step.h"

namespace ibot::apps {

/// Runs two steps and prints parameters, FLOPs and memory of a step, images per second and the
/// time of the full run: as lines for people, or as one JSON object if the request says so. Returns
/// the exit status.
int dry_run(const TrainRequest& request, train::TrainStep& step,
            batch::BatchSource<batch::MultiCropBatch>& batches, int64_t steps_per_epoch);

}  // namespace ibot::apps
