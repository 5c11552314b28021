#include "ibot-bench/step_subject.h"

#include "common/step_of_config.h"

namespace ibot::apps {

batch::SyntheticSource synthetic_batches(const config::RunConfig& config) {
  return batch::SyntheticSource(
      {.images = config.train.batch_size,
       .global_crops = config.augment.global_crops,
       .global_size = config.augment.global_size,
       .local_crops = config.augment.local_crops,
       .local_size = config.augment.local_size,
       .mask = config.mask,
       .grid = models::mask_grid(config.backbone, config.augment.global_size),
       .local_grid = models::mask_grid(config.backbone, config.augment.local_size),
       .seed = static_cast<uint64_t>(config.train.seed)});
}

StepSubject::StepSubject(const config::RunConfig& config, torch::Device device)
    : config_(config), step_(step_options(config), device) {
  batch_ = batch::prepared(*synthetic_batches(config).next(), device, config.augment.normalization);
}

void StepSubject::run() {
  const optim::RunLength length{config_.train.epochs, 1000, config_.train.batch_size};
  step_.run(batch_, train::step_inputs(step_.options(), config_.schedule, config_.mask.start_epoch,
                                       length, length.total_steps() / 2));
}

}  // namespace ibot::apps
