#include "ibot-eval/fine_tune.h"

#include <cstdio>

#include "common/labeled_images.h"
#include "common/logging.h"
#include "common/run_main.h"
#include "common/signals.h"
#include "ibot-eval/task_identity.h"
#include "ibot-eval/task_run.h"
#include "ibot-eval/training_record.h"
#include "ibot/config/yaml.h"
#include "ibot/eval/fine_tuner.h"
#include "ibot/loading/labeled_loader.h"
#include "ibot/loading/training_loader.h"

namespace ibot::apps {
namespace {

eval::ClassifierOptions classifier_options(const EvalConfig& config,
                                           const eval::FineTuneOptions& options, int64_t classes,
                                           int64_t patch_size) {
  const int64_t size = config.transform.size;
  IBOT_CHECK_AS(ConfigError, size % patch_size == 0,
                "transform.size: expected a multiple of backbone.patch_size ", patch_size, ", got ",
                size);
  auto backbone = config.run.backbone;
  backbone.image_size = size;
  backbone.drop_path = options.drop_path;
  backbone.rel_pos_bias = backbone.rel_pos_bias || options.rel_pos_bias;
  return {.backbone = backbone,
          .classes = classes,
          .head_layers = options.head_layers,
          .projection = config.run.head,
          .head_scale = options.head_scale,
          .positions = options.positions};
}

eval::FineTuneStep make_step(const TaskRequest& request, const std::string& task,
                             const eval::FineTuneOptions& options, int64_t classes) {
  const auto& weights = request.weights;
  IBOT_CHECK_AS(RequestError, weights.backbone != nullptr, task,
                ": expected a network to train, got pixels");
  return with_section(task, [&]() -> eval::FineTuneStep {
    auto classifier = std::make_shared<eval::Classifier>(
        classifier_options(weights.config, options, classes,
                           weights.config.run.backbone.patch_size),
        static_cast<uint64_t>(options.seed));
    open_input([&] {
      classifier->load_backbone(*weights.backbone);
      classifier->load_projection(weights.head);
    });
    return {options, classifier, request.device, request.group};
  });
}

data::TrainingLoaderOptions loader_options(const TaskRequest& request,
                                           const eval::FineTuneOptions& options) {
  const auto& config = request.weights.config;
  return {.transform = config.transform,
          .decode = config.run.data.decode,
          .seed = static_cast<uint64_t>(options.seed),
          .batch_size = options.batch_size,
          .repeats = options.repeats,
          .batches_per_update = options.accumulation,
          .share = {.rank = request.group.rank(), .world = request.group.size()},
          .num_epochs = options.epochs,
          .workers = config.run.data.workers,
          .prefetch_batches = config.run.data.prefetch_batches,
          .pin_memory = request.device.is_cuda()};
}

/// Updates an epoch; the batches that make no whole update are left out of `loading`.
int64_t updates_per_epoch(data::TrainingLoaderOptions& loading, const data::Dataset& train,
                          const std::string& task, int64_t accumulation) {
  const auto batches = open_input([&] {
    try {
      return data::training_steps_per_epoch(train.size(), loading);
    } catch (const DataError& error) {
      throw DataError(task + "." + error.what());
    }
  });
  const auto updates = batches / accumulation;
  IBOT_CHECK_AS(RequestError, updates > 0, task, ".accumulation: expected at most the ", batches,
                " batches of an epoch, got ", accumulation);
  loading.max_steps_per_epoch = updates * accumulation;
  return updates;
}

eval::Accuracy test(const TaskRequest& request, const eval::FineTuneOptions& options,
                    const data::Dataset& images, eval::Classifier& classifier) {
  const auto& config = request.weights.config;
  const int64_t size = config.transform.size;
  const auto resized = static_cast<int64_t>(static_cast<double>(size) / options.test_crop_ratio);
  const auto& group = request.group;
  data::LabeledLoader loader(
      images,
      {.transform = {.resize_size = resized, .crop_size = size, .filter = options.test_filter},
       .decode = config.run.data.decode,
       .begin = images.size() * group.rank() / group.size(),
       .end = images.size() * (group.rank() + 1) / group.size(),
       .batch_size = std::max<int64_t>(options.batch_size * 3 / 2, 1),
       .workers = config.run.data.workers,
       .prefetch_batches = config.run.data.prefetch_batches,
       .pin_memory = request.device.is_cuda()});
  return eval::test_classifier(classifier, loader, config.run.augment.normalization, request.device,
                               options.run.precision, group);
}

/// A learning rate that only rises is rarely meant.
void warn_of_warmup(const std::string& task, const eval::FineTuneOptions& options,
                    int64_t updates) {
  const auto steps = updates * options.epochs;
  const bool by_steps = options.schedule == eval::LrSchedule::kStep && options.warmup_steps > 0 &&
                        options.warmup_epochs > 0;
  const char* const consequence = "; the learning rate only rises, and its cosine never begins";
  if (by_steps && options.warmup_steps >= steps) {
    log_warning(concat(task, ".warmup_steps: expected less than the ", steps, " steps of ", task,
                       ".epochs ", options.epochs, ", got ", options.warmup_steps, consequence));
  } else if (!by_steps && options.warmup_epochs >= options.epochs) {
    log_warning(concat(task, ".warmup_epochs: expected less than ", task, ".epochs ",
                       options.epochs, ", got ", options.warmup_epochs, consequence));
  }
}

int64_t parameter_count(const eval::Classifier& classifier) {
  int64_t count = 0;
  for (const auto& parameter : classifier.parameters()) count += parameter.numel();
  return count;
}

eval::Report report_of(const TaskRequest& request, const std::string& task,
                       const eval::FineTuneOptions& options, const train::RunState& state,
                       int64_t classes, const Identity& identity) {
  const auto& config = request.weights.config;
  const auto& best = state.best;
  const auto best_epoch = best.step / state.steps_per_epoch - 1;
  eval::Report report{.task = task,
                      .metrics = {{"top1", best.score}},
                      .options = eval::option_values(options),
                      .weights = {},
                      .data = {},
                      .identity = identity.summary()};
  report.metrics["best_epoch"] = static_cast<double>(best_epoch);
  // Every one of five classes is among the first five.
  const bool ranked = classes > 5 && best.metrics.count("top5") > 0;
  if (ranked) report.metrics["top5"] = best.metrics.at("top5");
  report.options.merge(eval::option_values(config.transform));
  report.options.merge(eval::option_values(config.mixing));
  report.options.merge(eval::option_values(config.dataset));
  if (request.group.rank() > 0) return report;
  std::printf("best epoch %lld: top-1 %.2f", static_cast<long long>(best_epoch + 1), best.score);
  if (ranked) std::printf(", top-5 %.2f", best.metrics.at("top5"));
  std::printf("\n");
  return report;
}

}  // namespace

eval::Report fine_tune(const TaskRequest& request, const std::string& task,
                       const eval::FineTuneOptions& options) {
  const auto& config = request.weights.config;
  const LabeledImages images(request.data, config.dataset, config.run.data);
  auto loading = loader_options(request, options);
  const auto updates = updates_per_epoch(loading, images.train(), task, options.accumulation);
  auto step = make_step(request, task, options, images.classes());
  const auto identity = fine_tune_identity(request, images, task, options.head_layers > 0);
  const auto checkpoints = checkpoint_folder(request);
  const auto checkpoint = find_checkpoint(checkpoints, identity, [&] {
    return eval::read_former_checkpoint(checkpoints / "last.safetensors");
  });
  eval::FineTuner tuner({.mixing = config.mixing,
                         .normalization = config.run.augment.normalization,
                         .steps_per_epoch = updates,
                         .home = run_home(request, checkpoints, identity, images.train().size())},
                        step);
  log_info(concat(images.train().size(), " training and ", images.test().size(), " test images of ",
                  images.classes(), " classes; ", updates, " steps an epoch",
                  where_it_runs(request)));
  if (request.group.rank() == 0) warn_of_warmup(task, options, updates);
  resume(tuner, checkpoint);
  TrainingRecord record(request, tuner.state(),
                        {.task = task,
                         .steps = options.epochs * updates,
                         .metrics = {{"top1", "top-1"}, {"ema_top1", "of the average"}},
                         .constants = {{"n_parameters", parameter_count(step.classifier())}}});
  tuner.set_observers(record.observers());
  tuner.set_test([&](eval::Classifier& classifier) {
    return test(request, options, images.test(), classifier);
  });
  train_to_end(tuner, request, [&] {
    data::TrainingLoader loader(images.train(), stream_of(loading, tuner.state()));
    return tuner.run(loader);
  });
  if (stop_requested()) return {};
  auto report = report_of(request, task, options, tuner.state(), images.classes(), identity);
  report.counts = images.counts();
  return report;
}

}  // namespace ibot::apps
