// Training end to end on labels: what finetune, semi and transfer have in common.
#pragma once

#include <string>

#include "ibot-eval/task.h"
#include "ibot/eval/fine_tune_options.h"

namespace ibot::apps {

/// Trains a classifier on the training images of the request, from its weights, and tests it on the
/// others. Goes on from OUT/checkpoints/last.safetensors where there is one; writes it, the best
/// network and OUT/log.txt as it goes. A signal ends it early.
///
///   task   name of the task, which is that of its configuration section too
///
/// Throws RequestError where data, weights or the earlier run cannot be used, ConfigError.
eval::Report fine_tune(const TaskRequest& request, const std::string& task,
                       const eval::FineTuneOptions& options);

}  // namespace ibot::apps
