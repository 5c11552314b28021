// Peak memory of a run.
#pragma once

#include <torch/types.h>

#include <cstdint>

namespace ibot {

/// Peak bytes so far: resident set of the process on the CPU, allocated tensors on a GPU.
int64_t peak_memory_bytes(torch::Device device);

}  // namespace ibot
