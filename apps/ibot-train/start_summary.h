// What a run is about to do, in a few lines.
#pragma once

#include <string>
#include <vector>

#include "ibot-train/pretrain.h"
#include "ibot/train/step.h"

namespace ibot::apps {

/// Numbers in the parameters of a network, trained or not.
int64_t count_parameters(const torch::nn::Module& module);

/// Lines on network, device, threads, precision, batch, steps, learning rate and output.
std::vector<std::string> start_summary(const TrainRequest& request, const Ranks& ranks,
                                       const train::TrainStep& step, int64_t steps_per_epoch);

/// The keys that differ from the defaults, "key=value" each, for the log.
std::vector<std::string> changed_keys(const config::RunConfig& config);

}  // namespace ibot::apps
