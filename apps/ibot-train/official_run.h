// Going on from a checkpoint of the official program.
#pragma once

#include <string>
#include <vector>

#include "ibot-train/pretrain.h"
#include "ibot/train/checkpoint.h"
#include "ibot/train/step.h"

namespace ibot::apps {

/// Whether `--resume` names a .pth.
bool resumes_official(const std::string& resume);

/// The configuration of the run in the file, as far as its arguments and shapes tell, with
/// `overrides`. Throws RequestError where the file is refused, ConfigError.
config::RunConfig config_of_official(const std::string& file,
                                     const std::vector<std::string>& overrides);

/// The file's run for `step`, which is of the request's configuration. It goes on at the beginning
/// of an epoch. Throws RequestError where the file holds no whole run, or says of a key that
/// changes results another value than the request; the images of a step and the precision are
/// matters of the machine, of which the file tells only a part.
train::Checkpoint official_checkpoint(const TrainRequest& request, const train::TrainStep& step);

}  // namespace ibot::apps
