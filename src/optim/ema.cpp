#include "ibot/optim/ema.h"

#include <ATen/ops/_foreach_lerp.h>

namespace ibot::optim {

ParameterPairs common_parameters(const torch::nn::Module& teacher,
                                 const torch::nn::Module& student) {
  const auto trained = student.named_parameters();
  ParameterPairs pairs;
  for (const auto& averaged : teacher.named_parameters()) {
    // Only one network has the mask token or a prototype layer of its own.
    const auto* match = trained.find(averaged.key());
    if (match == nullptr) continue;
    pairs.teacher.push_back(averaged.value());
    pairs.student.push_back(*match);
  }
  return pairs;
}

void ema_update_(const ParameterPairs& pairs, double momentum) {
  const torch::NoGradGuard no_grad;
  // t + (1 - m)(s - t): all tensors in few launches.
  at::_foreach_lerp_(pairs.teacher, pairs.student, 1.0 - momentum);
}

}  // namespace ibot::optim
