#include "ibot/config/schedule_fit.h"

namespace ibot::config {
namespace {

class Misfits {
 public:
  explicit Misfits(int64_t epochs) : epochs_(epochs) {}

  /// Reports `key`, if `value` turns it on, where its schedule does not end before the run; both in
  /// epochs.
  void check(const char* key, int64_t value, int64_t end, const char* consequence) {
    if (value == 0 || end < epochs_) return;
    lines_.push_back(concat(key, ": ends at epoch ", end, ", the run (train.epochs) at ", epochs_,
                            "; ", consequence));
  }
  std::vector<std::string> lines() && { return std::move(lines_); }

 private:
  const int64_t epochs_;
  std::vector<std::string> lines_;
};

/// Epochs until both temperature ramps have ended. A constant temperature has no ramp, and the
/// patch temperature does not count if no patch is ever masked.
int64_t end_of_ramps(const RunConfig& config) {
  const auto& loss = config.loss;
  const auto length = loss.warmup_teacher_temp_epochs;
  const bool masks = config.mask.start_epoch < config.train.epochs;
  if (masks && loss.warmup_teacher_patch_temp != loss.teacher_patch_temp) {
    return config.mask.start_epoch + length;
  }
  return loss.warmup_teacher_temp != loss.teacher_temp ? length : 0;
}

}  // namespace

std::vector<std::string> unfinished_schedules(const RunConfig& config, int64_t steps_per_epoch) {
  Misfits misfits(config.train.epochs);
  const auto warmup = config.schedule.warmup_epochs;
  const auto freeze = config.optim.freeze_last_layer;
  const auto masks = config.mask.start_epoch;
  misfits.check("schedule.warmup_epochs", warmup, warmup,
                "the learning rate only rises, and its cosine never begins");
  misfits.check("optim.freeze_last_layer", freeze, freeze, "the prototypes never learn");
  misfits.check("mask.start_epoch", masks, masks, "no patch is ever masked");
  misfits.check("loss.warmup_teacher_temp_epochs", config.loss.warmup_teacher_temp_epochs,
                end_of_ramps(config),
                "the teacher's temperatures, that of patches from mask.start_epoch on, rise "
                "until the run ends");
  auto lines = std::move(misfits).lines();
  const auto max_steps = config.train.max_steps;
  const bool cut = max_steps > 0 && max_steps < config.train.epochs * steps_per_epoch;
  if (cut && warmup < config.train.epochs && max_steps <= warmup * steps_per_epoch) {
    lines.push_back(concat("train.max_steps: expected more than the ", warmup * steps_per_epoch,
                           " steps of schedule.warmup_epochs ", warmup, ", got ", max_steps,
                           "; schedules span train.epochs ", config.train.epochs,
                           ", of which these steps are the beginning"));
  }
  return lines;
}

}  // namespace ibot::config
