// What changes from step to step, as pure functions of the step.
#pragma once

#include <cstdint>
#include <vector>

#include "ibot/optim/optim_options.h"
#include "ibot/optim/schedule_options.h"

namespace ibot::optim {

/// A value that rises linearly from `start` to `base` over `warmup_steps`, both ends included, and
/// then follows half a cosine from `base` towards `final`, which it approaches but does not reach
/// within `total_steps`. A warm-up longer than the run is cut off with it.
///
/// Source: reference `utils.py` (cosine_scheduler).
struct CosineSchedule {
  double base = 0.0;
  double final = 0.0;
  int64_t total_steps = 0;
  int64_t warmup_steps = 0;
  double start = 0.0;

  double at(int64_t step) const;
};

/// A random factor 1 + n of a learning rate, n normal but within -limit and limit, in the epochs
/// from `begin` on, as shares of all, and before `end`. Drawn anew for each epoch from seed +
/// epoch.
///
/// Source: timm's Scheduler, whose draws these are to the bit.
struct LrNoise {
  double begin = 0.0;
  double end = 0.0;  // not above begin: none
  double limit = 0.0;
  int64_t seed = 0;
};

/// A learning rate that changes from epoch to epoch: linear from `start` towards `base` over
/// `warmup_epochs`, then down a curve as if there had been no warm-up; all one epoch late, so that
/// the first two epochs have the same.
///
///   cosine  half a cosine from `base` towards `final`
///   tanh    (1 - tanh) / 2 from -6 to 4, from `base` towards `final`, where the warm-up ends below
///   step    times `decay_rate` after every `decay_epochs`, without floor
///
/// Source: timm's schedulers as the reference's semi_supervised/eval_cls.py drives them.
struct EpochSchedule {
  double base = 0.0;
  double final = 0.0;
  int64_t epochs = 0;
  int64_t warmup_epochs = 0;
  double start = 0.0;
  LrCurve curve = LrCurve::kCosine;
  double decay_epochs = 0.0;
  double decay_rate = 1.0;
  LrNoise noise = {};

  double at(int64_t epoch) const;

 private:
  double warming(double t) const;
  double falling(double t) const;
};

/// A linear rise over the first `steps` steps, from `ratio` of what the schedule has.
struct LinearWarmup {
  int64_t steps = 0;
  double ratio = 1.0;

  double factor(int64_t step) const;
};

/// Falls from `base` to `final` as a power of what is left of `total_steps`.
///
/// Source: mmcv 1.3 (PolyLrUpdaterHook, linear warm-up).
struct PolySchedule {
  double base = 0.0;
  double final = 0.0;
  int64_t total_steps = 0;
  double power = 1.0;
  LinearWarmup warmup = {};

  double at(int64_t step) const;
};

/// `base` times `factor` after each of the `decay_epochs`, which count from 0.
///
/// Source: mmcv 1.3 (StepLrUpdaterHook, linear warm-up).
struct MultiStepSchedule {
  double base = 0.0;
  double factor = 0.1;
  std::vector<int64_t> decay_epochs;
  int64_t steps_per_epoch = 0;
  LinearWarmup warmup = {};

  double at(int64_t step) const;
};

/// How long a run is and how many images a step sees over all ranks.
struct RunLength {
  int64_t epochs = 0;
  int64_t steps_per_epoch = 0;
  int64_t global_batch = 0;

  int64_t total_steps() const { return epochs * steps_per_epoch; }
};

/// Schedule values of one step.
struct StepValues {
  double lr = 0.0;
  double weight_decay = 0.0;
  double momentum_teacher = 0.0;
  bool freeze_last_layer = false;
};

/// The learning rate is scaled by global_batch / 256; its floor is not.
StepValues step_values(const OptimOptions& optim, const ScheduleOptions& schedule,
                       const RunLength& length, int64_t step);

}  // namespace ibot::optim
