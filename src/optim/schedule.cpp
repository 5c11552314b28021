#include "ibot/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ibot::optim {

double CosineSchedule::at(int64_t step) const {
  if (step < warmup_steps) {
    if (warmup_steps == 1) return start;
    const auto done = static_cast<double>(step) / static_cast<double>(warmup_steps - 1);
    return start + (base - start) * done;
  }
  const auto done =
      static_cast<double>(step - warmup_steps) / static_cast<double>(total_steps - warmup_steps);
  return final + 0.5 * (base - final) * (1.0 + std::cos(std::numbers::pi * done));
}

double EpochCosineSchedule::at(int64_t epoch) const {
  const auto t = static_cast<double>(std::max<int64_t>(epoch - 1, 0));
  const auto warmup = static_cast<double>(warmup_epochs);
  if (t < warmup) return start + t * (base - start) / warmup;
  return final + 0.5 * (base - final) *
                     (1.0 + std::cos(std::numbers::pi * t / static_cast<double>(epochs)));
}

StepValues step_values(const OptimOptions& optim, const ScheduleOptions& schedule,
                       const RunLength& length, int64_t step) {
  constexpr double kReferenceBatch = 256.0;
  const auto total = length.total_steps();
  const CosineSchedule lr{optim.lr * static_cast<double>(length.global_batch) / kReferenceBatch,
                          optim.min_lr, total, schedule.warmup_epochs * length.steps_per_epoch};
  const CosineSchedule weight_decay{optim.weight_decay, optim.weight_decay_end, total, 0};
  const CosineSchedule momentum{schedule.momentum_teacher, 1.0, total, 0};
  return {.lr = lr.at(step),
          .weight_decay = weight_decay.at(step),
          .momentum_teacher = momentum.at(step),
          .freeze_last_layer = step / length.steps_per_epoch < optim.freeze_last_layer};
}

}  // namespace ibot::optim
