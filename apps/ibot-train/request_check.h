// Checks of all runs of a sweep before the first one starts.
#pragma once

#include <vector>

#include "ibot-train/pretrain.h"

namespace ibot::apps {

/// Throws ConfigError or RequestError, which names the run, for what a run would be refused for
/// when it starts: data, evaluations, batches, network, device, precision, initial weights, output
/// folder, and a run of other values in that folder. Images are listed once for all runs that have
/// them in common; none is read.
///
///   ranks   of each run
void check_requests(const std::vector<TrainRequest>& requests, int64_t ranks);

}  // namespace ibot::apps
