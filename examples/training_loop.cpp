// training_loop CONFIG.yaml IMAGES OUT.safetensors: pre-training by a loop of one's own. The losses
// are those of ibot-train; ibot-eval reads what is written.
#include <cstdio>
#include <iostream>

#include "ibot/config/run_config.h"
#include "ibot/loading/loader.h"
#include "ibot/loading/open_dataset.h"
#include "ibot/train/checkpoint.h"
#include "ibot/train/step.h"

int main(int argc, char** argv) try {
  using namespace ibot;
  if (argc < 4) return 2;
  const auto config = config::read_config<config::RunConfig>(argv[1]);
  const auto images = data::open_images(argv[2]);
  const auto seed = static_cast<uint64_t>(config.train.seed);
  data::MultiCropLoader loader(
      *images, {.data = config.data,
                .augment = config.augment,
                .mask = config.mask,
                .grid = models::mask_grid(config.backbone, config.augment.global_size),
                .local_grid = models::mask_grid(config.backbone, config.augment.local_size),
                .seed = seed,
                .batch_size = config.train.batch_size,
                .num_epochs = config.train.epochs});
  const train::StepOptions options{.backbone = config.backbone,
                                   .head = config.head,
                                   .loss = config.loss,
                                   .optim = config.optim,
                                   .precision = config.train.precision,
                                   .seed = seed,
                                   .global_views = config.augment.global_crops};
  const torch::Device device(torch::kCPU);
  train::TrainStep training(options, device);
  const optim::RunLength length{config.train.epochs, loader.steps_per_epoch(),
                                config.train.batch_size};
  for (int64_t step = 0; const auto loaded = loader.next(); ++step) {
    const auto batch = batch::prepared(*loaded, device, config.augment.normalization);
    const auto result = training.run(
        batch, train::step_inputs(options, config.schedule, config.mask.start_epoch, length, step));
    std::printf("%.9g\n", result.loss.total.item<double>());
  }
  train::save_checkpoint(argv[3], {training.state(), {}, config::write_config(config)});
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << '\n';
  return 1;
}
