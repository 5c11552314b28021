#include "ibot-bench/step_bench.h"

#include <ATen/ops/randn.h>

#include "common/step_of_config.h"
#include "ibot-bench/kernel_bench.h"
#include "ibot-bench/products.h"
#include "ibot-bench/step_subject.h"
#include "ibot/nn/autocast_scope.h"
#include "ibot/optim/autocast.h"

namespace ibot::apps {
namespace {

constexpr int64_t kCopiedFloats = int64_t{1} << 24;  // 64 MiB: larger than caches

double bytes_of(const std::vector<torch::Tensor>& tensors) {
  double sum = 0.0;
  for (const auto& tensor : tensors) sum += static_cast<double>(tensor.nbytes());
  return sum;
}

}  // namespace

void bench_step(const config::RunConfig& config, const BenchRuns& runs, Figures& figures) {
  StepSubject subject(config, runs.device);
  Products products(config, runs.device);
  figures.measure_in_turn({{{.name = "step",
                             .images = subject.images(),
                             .flops = useful_step_flops(config) * subject.images()},
                            [&] { subject.run(); }},
                           products.work()},
                          runs);
}

void bench_curve(const config::RunConfig& config, const BenchRuns& runs, Figures& figures) {
  train::TrainStep step(step_options(config), runs.device);
  auto batches = synthetic_batches(config);
  const auto epochs = config.train.epochs;
  const optim::RunLength length{epochs, (runs.repetitions + epochs - 1) / epochs,
                                config.train.batch_size};
  BenchTimes times;
  std::vector<double> losses;
  for (int i = 0; i < runs.repetitions; ++i) {
    const auto batch = batch::prepared(*batches.next(), runs.device, config.augment.normalization);
    const auto inputs =
        train::step_inputs(step.options(), config.schedule, config.mask.start_epoch, length, i);
    times.seconds.push_back(timed(
        [&] { losses.push_back(step.run(batch, inputs).loss.total.item<double>()); }, runs.device));
  }
  figures.add({.name = "curve",
               .images = static_cast<double>(config.train.batch_size),
               .losses = std::move(losses)},
              std::move(times), runs.device);
}

void bench_ops(const config::RunConfig& config, const BenchRuns& runs, Figures& figures) {
  StepSubject subject(config, runs.device);
  subject.run();  // gradients for clipping and update to work on
  auto& networks = subject.step().networks();
  const auto part = [&](const char* name, double bytes, const std::function<void()>& work) {
    figures.measure({.name = name, .images = subject.images(), .bytes = bytes}, runs, [&] {
      const nn::AutocastScope autocast(runs.device.type(),
                                       optim::autocast_dtype(config.train.precision, runs.device));
      work();
    });
  };
  figures.measure({.name = "step", .images = subject.images()}, runs, [&] { subject.run(); });
  part("teacher_forward", 0, [&] { networks.teacher_forward(subject.batch()); });
  part("student_forward", 0, [&] { networks.student_forward(subject.batch()); });
  part("student_forward_backward", 0, [&] {
    const auto output = networks.student_forward(subject.batch());
    (output.class_logits.sum() + output.patch_logits.sum()).backward();
  });
  const auto parameters = optim::trained_parameters(networks.student());
  std::vector<torch::Tensor> trained;
  for (const auto& parameter : parameters) trained.push_back(parameter.tensor);
  const auto size = bytes_of(trained);
  // Gradients are read for their norm, then read and written.
  part("clip", 3 * size, [&] { optim::clip_gradients_(parameters, 3.0); });
  optim::Optimizer optimizer(config.optim.optimizer, parameters);
  // Of AdamW: parameter, gradient and two moments are read, all but the gradient written.
  part("update", 7 * size, [&] { optimizer.step({.lr = 1e-6, .weight_decay = 0.04}); });
  const auto pairs = optim::common_parameters(networks.teacher(), networks.student());
  part("moving_average", 3 * size, [&] { optim::ema_update_(pairs, 0.999); });
  const auto source = at::randn({kCopiedFloats}, torch::TensorOptions(runs.device));
  auto target = source.clone();
  figures.measure({.name = "copy", .bytes = 2.0 * static_cast<double>(source.nbytes())}, runs,
                  [&] { target.copy_(source); });
  bench_kernels(config, runs, figures);
}

}  // namespace ibot::apps
