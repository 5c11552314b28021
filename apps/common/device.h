// From the name of a device to the device.
#pragma once

#include <torch/types.h>

#include <string>

#include "ibot/dist/rendezvous.h"

namespace ibot::apps {

/// "auto" is a GPU where there is one, else the CPU; of "auto" and "cuda" the processes of a node
/// each have their own. A GPU is the current one from then on. Throws ConfigError, which begins
/// with `key`, on a name that is no device, on a GPU that is not there, and where several processes
/// of a node would share one.
torch::Device choose_device(const std::string& key, const std::string& name,
                            const dist::Launch& launch = {});

}  // namespace ibot::apps
