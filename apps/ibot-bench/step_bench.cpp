#include "ibot-bench/step_bench.h"

#include "common/step_of_config.h"
#include "ibot-bench/measure.h"
#include "ibot/batch/synthetic_source.h"
#include "ibot/nn/autocast_scope.h"
#include "ibot/optim/autocast.h"

namespace ibot::apps {
namespace {

/// A training step with a batch on its device.
class Subject {
 public:
  Subject(const config::RunConfig& config, torch::Device device)
      : config_(config), step_(step_options(config), device) {
    batch::SyntheticSource source(
        {.images = config.train.batch_size,
         .global_crops = config.augment.global_crops,
         .global_size = config.augment.global_size,
         .local_crops = config.augment.local_crops,
         .local_size = config.augment.local_size,
         .mask = config.mask,
         .grid = models::mask_grid(config.backbone, config.augment.global_size),
         .local_grid = models::mask_grid(config.backbone, config.augment.local_size),
         .seed = static_cast<uint64_t>(config.train.seed)});
    batch_ = batch::prepared(*source.next(), device, config.augment.normalization);
  }

  /// One step of a run in its middle: nothing is frozen, nothing is zero.
  void run() {
    const optim::RunLength length{config_.train.epochs, 1000, config_.train.batch_size};
    step_.run(batch_,
              train::step_inputs(step_.options(), config_.schedule, config_.mask.start_epoch,
                                 length, length.total_steps() / 2));
  }

  train::TrainStep& step() { return step_; }
  const batch::MultiCropBatch& batch() const { return batch_; }
  double images() const { return static_cast<double>(config_.train.batch_size); }

 private:
  config::RunConfig config_;
  train::TrainStep step_;
  batch::MultiCropBatch batch_;
};

}  // namespace

void bench_step(const config::RunConfig& config, torch::Device device, int repetitions) {
  Subject subject(config, device);
  measure({.name = "step",
           .images = subject.images(),
           .flops = useful_step_flops(config) * subject.images(),
           .device = device,
           .repetitions = repetitions},
          [&] { subject.run(); });
}

void bench_ops(const config::RunConfig& config, torch::Device device, int repetitions) {
  Subject subject(config, device);
  subject.run();  // gradients for clipping and update to work on
  auto& networks = subject.step().networks();
  const auto part = [&](const char* name, const std::function<void()>& work) {
    measure(
        {.name = name, .images = subject.images(), .device = device, .repetitions = repetitions},
        [&] {
          const nn::AutocastScope autocast(device.type(),
                                           optim::autocast_dtype(config.train.precision));
          work();
        });
  };
  part("teacher_forward", [&] { networks.teacher_forward(subject.batch()); });
  part("student_forward", [&] { networks.student_forward(subject.batch()); });
  part("student_forward_backward", [&] {
    const auto output = networks.student_forward(subject.batch());
    (output.class_logits.sum() + output.patch_logits.sum()).backward();
  });
  const auto parameters = optim::trained_parameters(networks.student());
  part("clip", [&] { optim::clip_gradients_(parameters, 3.0); });
  optim::Optimizer optimizer(config.optim.optimizer, parameters);
  part("update", [&] { optimizer.step({.lr = 1e-6, .weight_decay = 0.04}); });
  const auto pairs = optim::common_parameters(networks.teacher(), networks.student());
  part("moving_average", [&] { optim::ema_update_(pairs, 0.999); });
}

}  // namespace ibot::apps
