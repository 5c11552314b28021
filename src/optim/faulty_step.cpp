#include "ibot/optim/faulty_step.h"

namespace ibot::optim {

torch::Tensor leave_out_nonfinite_(const torch::Tensor& loss_is_bad, const torch::Tensor& grad_norm,
                                   std::optional<Overflow>& overflow, const GradScaler* scaler) {
  const torch::NoGradGuard no_grad;
  const auto bad_loss = loss_is_bad > 0;
  if (scaler != nullptr) {
    // Lowering the scale mends an overflow of gradients, never a loss that is not finite.
    const auto faulty =
        torch::maximum(bad_loss.to(torch::kFloat), scaler->beyond_remedy(overflow->found));
    // A bad loss may leave finite gradients: the optimizer is told of it here.
    overflow->found = torch::maximum(overflow->found, faulty);
    return faulty;
  }
  // The norm of all gradients is not finite as soon as one of their values is not.
  const auto bad_gradient = grad_norm.isfinite().logical_not();
  const auto faulty = bad_loss.logical_or(bad_gradient).to(torch::kFloat);
  overflow = Overflow{faulty};
  return faulty;
}

}  // namespace ibot::optim
