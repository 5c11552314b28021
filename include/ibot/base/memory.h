// How much memory a run takes.
#pragma once

#include <torch/types.h>

#include <cstdint>

namespace ibot {

/// Largest number of bytes used so far: of the process on the CPU, of tensors on a GPU.
int64_t peak_memory_bytes(torch::Device device);

}  // namespace ibot
