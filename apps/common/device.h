// From the name of a device to the device.
#pragma once

#include <torch/types.h>

#include <string>

namespace ibot::apps {

/// "auto" is a GPU where there is one, else the CPU; of "auto" and "cuda" the processes of a node
/// each have their own, which is the current device from then on. Throws ConfigError on a name that
/// is no device and on a GPU that is not there.
torch::Device choose_device(const std::string& name, int64_t local_rank = 0);

}  // namespace ibot::apps
