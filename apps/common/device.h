// From the name of a device to the device.
#pragma once

#include <torch/types.h>

#include <string>

namespace ibot::apps {

/// "auto" is the GPU of this rank where there is one, else the CPU. Throws ConfigError on a name
/// that is no device and on a GPU that is not there.
torch::Device choose_device(const std::string& name);

}  // namespace ibot::apps
