// Steps that must not count.
#pragma once

#include <torch/types.h>

#include <optional>

#include "ibot/optim/grad_scaler.h"
#include "ibot/optim/optimizer.h"

namespace ibot::optim {

/// Tells the optimizer to leave a step out whose loss or gradients are not finite, without waiting
/// for the device. An overflow that a lower loss scale can mend is the scaler's everyday work: the
/// step is left out, but not faulty.
///
///   loss_is_bad  scalar above 0 where the loss of any rank is not finite
///   grad_norm    norm of all gradients, unscaled
///   overflow     of the scaler; set where there is none
///   returns      float32 scalar, 1 where the step is faulty, else 0
torch::Tensor leave_out_nonfinite_(const torch::Tensor& loss_is_bad, const torch::Tensor& grad_norm,
                                   std::optional<Overflow>& overflow, const GradScaler* scaler);

}  // namespace ibot::optim
