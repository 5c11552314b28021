// Values of a request that depend on the device and on the run it resumes.
#pragma once

#include "ibot-train/pretrain.h"

namespace ibot::apps {

/// The request with everything decided, as config.yaml and checkpoints record it:
///
///   train.precision   auto becomes that of the run it resumes, if this device has it, otherwise
///                     what the device is fast in; of several ranks the one that all have
///   train.init_from   of a run that is resumed: what it began with
///
/// All ranks call it together. Throws ConfigError for a precision that the device lacks.
TrainRequest settled(TrainRequest request, const Ranks& ranks);

}  // namespace ibot::apps
