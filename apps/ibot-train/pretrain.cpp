#include "ibot-train/pretrain.h"

#include <algorithm>
#include <cstdlib>

#include "common/device.h"
#include "common/logging.h"
#include "common/run_main.h"
#include "common/signals.h"
#include "common/step_of_config.h"
#include "ibot-train/bad_sample_log.h"
#include "ibot-train/dry_run.h"
#include "ibot-train/in_run_knn.h"
#include "ibot-train/run_console.h"
#include "ibot-train/run_folder.h"
#include "ibot/data/open_dataset.h"
#include "ibot/models/weights.h"
#include "ibot/train/run_log.h"
#include "ibot/train/trainer.h"

namespace ibot::apps {
namespace {

data::MultiCropLoaderOptions loader_options(const config::RunConfig& config, int64_t first_step,
                                            int64_t steps_per_epoch, bool pin_memory) {
  return {.data = config.data,
          .augment = config.augment,
          .mask = config.mask,
          .grid = models::mask_grid(config.backbone, config.augment.global_size),
          .local_grid = models::mask_grid(config.backbone, config.augment.local_size),
          .seed = static_cast<uint64_t>(config.train.seed),
          .batch_size = config.train.batch_size,
          .share = {},
          .first_epoch = first_step / steps_per_epoch,
          .first_step = first_step % steps_per_epoch,
          .num_epochs = config.train.epochs,
          .pin_memory = pin_memory};
}

train::TrainerOptions trainer_options(const TrainRequest& request, int64_t steps_per_epoch,
                                      std::string resolved) {
  const auto& config = request.config;
  return {.train = config.train,
          .schedule = config.schedule,
          .mask_start_epoch = config.mask.start_epoch,
          .length = {config.train.epochs, steps_per_epoch, config.train.batch_size},
          .normalization = {config.augment.mean, config.augment.std},
          .checkpoints = request.output / "checkpoints",
          .config = std::move(resolved)};
}

/// Ranks that each believed to be alone would train the same run into the same folder.
void refuse_several_ranks() {
  for (const char* variable : {"WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE"}) {
    const char* count = std::getenv(variable);
    IBOT_CHECK_AS(RequestError, count == nullptr || std::string(count) == "1", variable,
                  ": expected one rank, got ", count,
                  "; this version trains in a single process, start it without a launcher");
  }
}

std::unique_ptr<data::Dataset> open_images(const config::RunConfig& config) {
  IBOT_CHECK_AS(ConfigError, !config.data.path.empty(),
                "data.path: expected the root of an image folder, got nothing; add data.path=DIR");
  return open_input([&] { return data::open_images(config.data.path); });
}

void announce(const data::Dataset& images, int64_t steps_per_epoch, torch::Device device) {
  log_info(concat(images.size(), " images in ", images.class_names().size(), " classes; ",
                  steps_per_epoch, " steps an epoch on ", device));
}

/// Both networks begin with the weights of a file; the mask token and heads that it lacks stay as
/// they were drawn.
void begin_with_weights(const TrainRequest& request, train::TrainStep& step) {
  open_input([&] {
    const auto weights = models::read_weights(request.init_from, request.init_key);
    for (auto* network : {&step.networks().student(), &step.networks().teacher()}) {
      const bool student = network == &step.networks().student();
      const auto report = models::load_weights_(*network, weights);
      log_info(concat(student ? "student" : "teacher", " from ", request.init_from, ": ",
                      models::summary(report)));
    }
  });
}

/// Trains from `checkpoint`, or from the start, to the end or to a signal.
train::Ending train_run(const TrainRequest& request, const data::Dataset& images,
                        train::TrainStep& step, int64_t steps_per_epoch) {
  const auto& config = request.config;
  const auto checkpoint = find_checkpoint(request);
  std::optional<InRunKnn> knn;
  if (!config.eval.path.empty()) {
    knn.emplace(open_input([&] {
      return InRunKnn(config.eval, config.train.epochs, config.data.workers,
                      {config.augment.mean, config.augment.std});
    }));
  }
  if (!checkpoint && !request.init_from.empty()) begin_with_weights(request, step);
  prepare_output(request.output);
  // Nothing refuses the request from here on: a refusal leaves no folder and is the only line.
  announce(images, steps_per_epoch, step.device());
  const auto options = trainer_options(request, steps_per_epoch, write_resolved_config(request));
  const int64_t first = checkpoint ? checkpoint->run.step : 0;
  const auto total = options.length.total_steps();
  train::RunLog files(request.output, first, steps_per_epoch);
  RunConsole shown(first,
                   config.train.max_steps > 0 ? std::min(config.train.max_steps, total) : total,
                   config.train.batch_size, config.train.epochs, request.quiet);
  train::Trainer trainer(options, step, {&files, &shown});
  if (checkpoint) {
    open_input([&] { trainer.resume(*checkpoint); });
    log_info(concat("resumed at step ", first, " of ", total));
  }
  trainer.set_stop(stop_requested);
  trainer.set_evaluation([&](int64_t epoch) -> std::optional<train::EvaluationRecord> {
    if (!knn) return std::nullopt;
    return knn->evaluate(*step.networks().teacher().backbone, step.device(), epoch);
  });
  data::MultiCropLoader loader(
      images, loader_options(config, first, steps_per_epoch, step.device().is_cuda()));
  BadSampleLog batches(loader, request.output, checkpoint.has_value());
  const auto ending = trainer.run(batches);
  shown.finish();
  log_info(concat(ending == train::Ending::kDone ? "done" : "stopped", " at step ",
                  trainer.state().step, "; checkpoint: ", trainer.last_checkpoint().string()));
  return ending;
}

}  // namespace

int pretrain(const TrainRequest& request) {
  refuse_several_ranks();
  const auto& config = request.config;
  const auto device = choose_device(config.train.device);
  const auto dataset = open_images(config);
  const auto& images = *dataset;
  const auto steps_per_epoch =
      open_input([&] { return data::steps_per_epoch(images.size(), config.train.batch_size, 1); });
  train::TrainStep step(step_options(config), device);
  if (request.dry_run) {
    announce(images, steps_per_epoch, device);
    data::MultiCropLoader loader(images,
                                 loader_options(config, 0, steps_per_epoch, device.is_cuda()));
    return dry_run(config, step, loader, steps_per_epoch);
  }
  const auto ending = train_run(request, images, step, steps_per_epoch);
  return ending == train::Ending::kDone ? kDone : 128 + stop_signal();
}

}  // namespace ibot::apps
