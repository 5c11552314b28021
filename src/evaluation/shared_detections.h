// Detections of all ranks.
#pragma once

#include <vector>

#include "ibot/dist/group.h"
#include "ibot/metrics/average_precision.h"

namespace ibot::evaluation {

/// Those of every rank, in the order of the ranks, on every rank.
std::vector<metrics::Detection> shared_detections(std::vector<metrics::Detection> own,
                                                  const dist::Group& group);

}  // namespace ibot::evaluation
