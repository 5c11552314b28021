#include "ibot/optim/schedule.h"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ibot::optim {
namespace {

// timm's defaults (lb, ub).
constexpr double kTanhBegin = -6.0;
constexpr double kTanhEnd = 4.0;

/// A normal draw within the limit, repeated until it is, as timm does.
double draw_noise(const LrNoise& noise, int64_t epoch) {
  // A generator of its own: torch.manual_seed(seed + epoch) in timm gives the same stream.
  const at::Generator generator =
      at::detail::createCPUGenerator(static_cast<uint64_t>(noise.seed + epoch));
  while (true) {
    const auto drawn = torch::empty({1}, torch::kFloat).normal_(0.0, 1.0, generator).item<float>();
    if (std::abs(drawn) < noise.limit) return drawn;
  }
}

}  // namespace

double CosineSchedule::at(int64_t step) const {
  if (step < warmup_steps) {
    // numpy.linspace(start, base, warmup_steps): the last warm-up step has reached `base`.
    if (warmup_steps == 1) return start;
    const auto done = static_cast<double>(step) / static_cast<double>(warmup_steps - 1);
    return start + (base - start) * done;
  }
  const auto done =
      static_cast<double>(step - warmup_steps) / static_cast<double>(total_steps - warmup_steps);
  return final + 0.5 * (base - final) * (1.0 + std::cos(std::numbers::pi * done));
}

double EpochSchedule::warming(double t) const {
  const auto warmup = static_cast<double>(warmup_epochs);
  // timm's tanh rises to where its curve is at the end of the warm-up, the others to `base`.
  const double top = curve == LrCurve::kTanh ? falling(warmup) : base;
  return start + t * (top - start) / warmup;
}

double EpochSchedule::falling(double t) const {
  // `t` counts from the start of the run: curves do not restart after the warm-up.
  if (curve == LrCurve::kStep) return base * std::pow(decay_rate, std::floor(t / decay_epochs));
  const double done = t / static_cast<double>(epochs);
  if (curve == LrCurve::kCosine) {
    return final + 0.5 * (base - final) *
                       (1.0 + std::cos(std::numbers::pi * t / static_cast<double>(epochs)));
  }
  if (done >= 1.0) return final;
  return final +
         0.5 * (base - final) * (1.0 - std::tanh(kTanhBegin * (1.0 - done) + kTanhEnd * done));
}

double EpochSchedule::at(int64_t epoch) const {
  if (epoch == 0) return warmup_epochs > 0 ? start : base;
  // The reference steps the scheduler after epoch e with e: epoch e trains at the value of e - 1.
  const auto t = epoch - 1;
  const auto moved = static_cast<double>(t);
  const double lr = t < warmup_epochs ? warming(moved) : falling(moved);
  const auto all = static_cast<double>(epochs);
  const bool noisy =
      noise.begin < noise.end && moved >= noise.begin * all && moved < noise.end * all;
  return noisy ? lr + lr * draw_noise(noise, t) : lr;
}

double LinearWarmup::factor(int64_t step) const {
  if (step >= steps) return 1.0;
  // mmcv's warm-up multiplies what the schedule has at that step, not its base.
  return 1.0 - (1.0 - static_cast<double>(step) / static_cast<double>(steps)) * (1.0 - ratio);
}

double PolySchedule::at(int64_t step) const {
  const auto left = 1.0 - static_cast<double>(step) / static_cast<double>(total_steps);
  return ((base - final) * std::pow(left, power) + final) * warmup.factor(step);
}

double MultiStepSchedule::at(int64_t step) const {
  const auto epoch = step / steps_per_epoch;
  const auto decays = std::count_if(decay_epochs.begin(), decay_epochs.end(),
                                    [&](int64_t decay) { return decay <= epoch; });
  return base * std::pow(factor, static_cast<double>(decays)) * warmup.factor(step);
}

StepValues step_values(const OptimOptions& optim, const ScheduleOptions& schedule,
                       const RunLength& length, int64_t step) {
  // Linear scaling (Goyal et al. 2017) with the reference's batch of 256.
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
