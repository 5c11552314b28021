// From a precision to the type of matrix products.
#pragma once

#include <torch/types.h>

#include <optional>

#include "ibot/optim/precision_options.h"

namespace ibot::optim {

/// The type of matrix products in this precision; none for float32.
std::optional<torch::ScalarType> autocast_dtype(Precision precision);

}  // namespace ibot::optim
