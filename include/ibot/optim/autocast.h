// From a precision to the type of matrix products.
#pragma once

#include <torch/types.h>

#include <optional>

#include "ibot/optim/precision_options.h"

namespace ibot::optim {

/// The precision that kAuto stands for on a device; any other one is itself. On a GPU bf16 from
/// compute capability 8.0 on and fp16 below, where bf16 products are emulated; on a CPU bf16 with
/// AVX512-BF16 (every CPU with AMX has it too), otherwise fp32. Throws OptionError about `key` for
/// fp16 on a CPU.
Precision resolved(Precision precision, torch::Device device, const char* key = "precision");

/// The type of matrix products in this precision on this device; none for float32.
std::optional<torch::ScalarType> autocast_dtype(Precision precision, torch::Device device);

}  // namespace ibot::optim
