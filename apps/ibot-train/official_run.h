// Resuming from a checkpoint of the official program.
#pragma once

#include <string>
#include <vector>

#include "ibot-train/pretrain.h"
#include "ibot/train/checkpoint.h"
#include "ibot/train/step.h"

namespace ibot::apps {

/// Whether `--resume` names a .pth.
bool resumes_official(const std::string& resume);

/// The configuration of the run in the file, as far as its arguments and shapes determine it, with
/// `overrides`. Throws RequestError if the file is refused, and ConfigError.
config::RunConfig config_of_official(const std::string& file,
                                     const std::vector<std::string>& overrides);

/// The file's run for `step`, which has the request's configuration; it resumes at the beginning of
/// an epoch. Throws RequestError if the file holds no whole run, or if a key that changes results
/// has another value than in the request. Images per step and precision depend on the machine and
/// may differ.
train::Checkpoint official_checkpoint(const TrainRequest& request, const train::TrainStep& step);

}  // namespace ibot::apps
